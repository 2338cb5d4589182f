//! Makes cargo notice new migration files; the macro that embeds them only watches the ones it knows.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
