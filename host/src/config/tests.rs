use super::*;

fn sources(
    file: &str,
    environment: &[(&str, &str)],
    flags: &[(&'static str, &str)],
) -> (Sources, tempfile::NamedTempFile) {
    let path = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    std::fs::write(path.path(), file).unwrap();
    let owned = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
    let sources = Sources {
        file: Some(path.path().to_owned()),
        environment: environment.iter().map(owned).collect(),
        flags: flags.iter().map(|(key, value)| (*key, value.to_string())).collect(),
    };
    (sources, path)
}

/// The problems, with the file's temporary name as FILE.
fn problems(file: &str, environment: &[(&str, &str)], flags: &[(&'static str, &str)]) -> String {
    let (sources, path) = sources(file, environment, flags);
    let shown = path.path().display().to_string();
    Config::load(sources).expect_err("should be refused").to_string().replace(&shown, "FILE")
}

#[test]
fn later_sources_override_earlier_ones() {
    let (sources, _path) = sources(
        "[node]\nname = 'a'\nlisten = '127.0.0.1:1'\nadmin = '127.0.0.1:2'\n[limits]\ndefault_queue = 7",
        &[
            ("TYPECASE_NODE__LISTEN", "127.0.0.1:3"),
            ("TYPECASE_NODE__ADMIN", "127.0.0.1:4"),
            ("TYPECASE_LIMITS__INSTANCES_MAX", "12"),
            ("TYPECASE_INGRESS__TRUSTED_PROXIES", "10.0.0.0/8, ::1"),
            ("TYPECASE_SERVER", "http://elsewhere"),
            ("TYPECASE_TOKEN", "not ours"),
        ],
        &[("node.admin", "127.0.0.1:5")],
    );
    let config = Config::load(sources).unwrap();
    assert_eq!(config.node.name, "a");
    assert_eq!(config.node.listen.port(), 3);
    assert_eq!(config.node.admin.port(), 5);
    assert_eq!(config.node.advertise, "127.0.0.1:5");
    assert_eq!(config.limits.policy.default.queue, 7);
    assert_eq!(config.limits.instances_max, 12);
    let proxies: Vec<_> = config.ingress.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(proxies, ["10.0.0.0/8", "::1/128"]);
}

#[test]
fn all_problems_are_reported_together() {
    let text = problems(
        "top = 1\n\
         [node]\nlisten = '8100'\nnaem = 'x'\n\
         [limits]\ndefault_memory_mb = '64'\ndefault_queue = 20000\nbundle_mb = 0\n\
         [log]\nlevel = 'info,=='\naccess = 'stderr'\n\
         [drain]\ngrace_ms = -1\n\
         [ingress]\ntrusted_proxies = ['10.0.0.0/33', 5]\nbase_domain = 'http://x'\n\
         [cluster]\nredis = 'x'\n\
         [lmits]\n",
        &[("TYPECASE_LIMITS__MAX_REUSE", "many"), ("TYPECASE_DRAIN__DELAY", "1")],
        &[("node.admin", "localhost:1")],
    );
    assert_eq!(
        text,
        "the configuration has 20 problems:
  node.listen in FILE: \"8100\" is not an IP address and a port, such as \"0.0.0.0:8100\"
  --admin: \"localhost:1\" is not an IP address and a port, such as \"0.0.0.0:22345\"
  node.naem in FILE: unknown key: [node] has name, listen, admin, advertise, advertise_apps, data
  cluster.database: is missing: all nodes of a cluster share one, such as mysql://USER:PASSWORD@HOST:3306/DATABASE
  cluster.storage: is missing: all nodes of a cluster share one, such as file:///share/typecase or s3://BUCKET/PREFIX
  cluster.secret_file: is missing: make a file with `openssl rand -hex 32` and give all nodes a copy
  cluster.redis: not a URL of Redis; write redis://, redis-sentinel:// or redis-cluster:// (with TLS rediss://, ...), for example redis://:PASSWORD@10.0.0.5:6379/0
  limits.default_memory_mb in FILE: \"64\" is not a whole number from 1 to 4096
  TYPECASE_LIMITS__MAX_REUSE: \"many\" is not a whole number from 1 to 1000000000
  limits.default_queue: 20000 is above limits.max_queue, which is 10000: lower the one or raise the other
  limits.bundle_mb in FILE: 0 is not a whole number from 1 to 4096
  log.level: use error, warn, info, debug or trace, or directives such as \"info,typecase=debug\"
  log.access in FILE: \"stderr\" is not one of \"file\", \"stdout\", \"off\"
  drain.grace_ms in FILE: -1 is not a whole number from 0 to 3600000
  TYPECASE_DRAIN__DELAY: unknown key: [drain] has delay_ms, grace_ms
  ingress.trusted_proxies in FILE: this list is not a list of texts, such as [\"a\", \"b\"]
  ingress.trusted_proxies: \"10.0.0.0/33\" is not a network: write an address or a CIDR, such as \"10.0.0.0/8\"
  ingress.base_domain: write a domain name without scheme or port, such as \"apps.example.com\"
  [lmits]: unknown section: the sections are [node], [storage], [cluster], [limits], [log], [drain], [ingress]
  top in FILE: unknown key outside of a section: the sections are [node], [storage], [cluster], [limits], [log], [drain], [ingress]"
    );
}

#[test]
fn wrong_files_are_told_apart() {
    assert!(problems("[node", &[], &[]).contains("line 1"));
    assert!(problems("[app]\nname = 'x'", &[], &[]).contains("manifest"));
    let missing = Sources { file: Some("/nowhere/node.toml".into()), ..Sources::default() };
    assert!(Config::load(missing).unwrap_err().to_string().contains("/nowhere/node.toml: cannot be read"));
}

#[test]
fn secrets_are_read_from_files_and_never_shown() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "correct horse\n").unwrap();
    let name = setup::ADMIN_PASSWORD_FILE.to_owned();
    let environment = HashMap::from([(name, file.path().display().to_string())]);
    let config = Config::load(Sources { environment, ..Sources::default() }).unwrap();
    assert_eq!(config.setup.admin_password.as_ref().unwrap().expose(), "correct horse");
    assert!(!format!("{config:?}").contains("horse"));
    assert!(
        problems("", &[(setup::ADMIN_PASSWORD_FILE, "/nowhere")], &[]).contains("/nowhere: cannot be read")
    );
}

/// `docs/config.md` has a row for each key, with its default; a key without one is not documented.
#[test]
fn every_key_is_in_the_reference() {
    let reference = include_str!("../../../docs/config.md");
    let mut reader = open(&Sources::default()).unwrap();
    read(&mut reader, &HashMap::new());
    let missing: Vec<_> = reader
        .known()
        .iter()
        .map(|known| (known.section, format!("| `{}` | {} |", known.key, known.default)))
        .filter(|(section, row)| !section_of(reference, section).contains(row.as_str()))
        .collect();
    assert!(missing.is_empty(), "docs/config.md lacks these rows: {missing:#?}");
}

fn section_of<'a>(reference: &'a str, name: &str) -> &'a str {
    let start = reference.find(&format!("## `[{name}]`")).unwrap_or(reference.len());
    let section = &reference[start..];
    section[2.min(section.len())..].find("\n## ").map_or(section, |end| &section[..end + 2])
}
