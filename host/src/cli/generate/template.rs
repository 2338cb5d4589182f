//! Fills the places of a template: `{{name}}`.

/// Puts values into a template. A place that has a line of its own takes several lines, all indented like it, or
/// none at all.
pub fn fill(template: &str, values: &[(&str, String)]) -> String {
    let mut filled = String::with_capacity(template.len() * 2);
    for line in template.lines() {
        let bare = line.trim_start();
        let indent = &line[..line.len() - bare.len()];
        match values.iter().find(|(name, _)| bare == place(name)) {
            Some((_, value)) => {
                for line in value.lines() {
                    filled.push_str(if line.is_empty() { "" } else { indent });
                    filled.push_str(line);
                    filled.push('\n');
                }
            }
            None => {
                filled.push_str(&fill_line(line, values));
                filled.push('\n');
            }
        }
    }
    filled
}

fn fill_line(line: &str, values: &[(&str, String)]) -> String {
    values.iter().fold(line.to_owned(), |line, (name, value)| line.replace(&place(name), value))
}

fn place(name: &str) -> String {
    format!("{{{{{name}}}}}")
}
