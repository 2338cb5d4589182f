use std::io::Write as _;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::*;

const MANIFEST: &str =
    "manifest_version = 1\n[app]\nname = \"hello\"\ncomponent = \"component.wasm\"\nassets = \"assets/\"\n";
const WASM: &[u8] = b"\0asm\x0d\0\x01\0";

/// One entry, with every field that an attacker may choose; stored, unless `method` says otherwise.
#[derive(Clone)]
struct Raw {
    name: Vec<u8>,
    data: Vec<u8>,
    crc: u32,
    bytes: u32,
    method: u16,
    flags: u16,
    mode: u32,
    /// Name in the local header, where it differs.
    local_name: Option<Vec<u8>>,
    /// Offset of the local header, where it is a lie.
    offset: Option<u32>,
    extra: Vec<u8>,
}

fn raw(name: &str, data: &[u8]) -> Raw {
    Raw {
        name: name.into(),
        data: data.into(),
        crc: crc32(data),
        bytes: data.len() as u32,
        method: 0,
        flags: 0,
        mode: 0o100_644,
        local_name: None,
        offset: None,
        extra: Vec::new(),
    }
}

fn good() -> Vec<Raw> {
    vec![
        raw("typecase.toml", MANIFEST.as_bytes()),
        raw("component.wasm", WASM),
        raw("assets/index.html", b"<p>hello"),
    ]
}

fn with(entry: Raw) -> Vec<Raw> {
    let mut entries = good();
    entries.push(entry);
    entries
}

fn archive(entries: &[Raw]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let offset = entry.offset.unwrap_or(out.len() as u32);
        let local_name = entry.local_name.as_ref().unwrap_or(&entry.name);
        let head = |name: &[u8], extra: &[u8]| {
            let mut head = Vec::new();
            for field in [20, entry.flags, entry.method, 0, 0x21] {
                head.extend(field.to_le_bytes());
            }
            for field in [entry.crc, entry.data.len() as u32, entry.bytes] {
                head.extend(field.to_le_bytes());
            }
            head.extend((name.len() as u16).to_le_bytes());
            head.extend((extra.len() as u16).to_le_bytes());
            head
        };
        out.extend(b"PK\x03\x04");
        out.extend(head(local_name, &[]));
        out.extend(local_name);
        out.extend(&entry.data);

        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend(head(&entry.name, &entry.extra));
        directory.extend([0; 6]);
        directory.extend((entry.mode << 16).to_le_bytes());
        directory.extend(offset.to_le_bytes());
        directory.extend(&entry.name);
        directory.extend(&entry.extra);
    }
    let start = out.len() as u32;
    let count = (entries.len() as u16).to_le_bytes();
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(count);
    out.extend(count);
    out.extend((directory.len() as u32).to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0, 0]);
    out
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 })
    })
}

/// An archive as an ordinary packer writes it, deflated.
fn deflated(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(io::Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (name, data) in entries {
        zip.start_file(*name, options).unwrap();
        zip.write_all(data).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn checked(bytes: &[u8], policy: &BundlePolicy) -> Result<CheckedBundle, BundleError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    check(file.path(), policy)
}

#[track_caller]
fn refused(bytes: &[u8], policy: &BundlePolicy, code: &str, mentions: &str) {
    match checked(bytes, policy) {
        Ok(_) => panic!("accepted, expected {code}"),
        Err(error) => {
            assert!(
                error.code() == code && error.to_string().contains(mentions),
                "{}: {error}",
                error.code()
            );
            assert!(error.is_publishers_fault(), "{error}");
            assert!(!error.to_string().contains(['\0', '\x1b']), "{error:?}");
        }
    }
}

#[test]
fn a_good_bundle_is_accepted() {
    let mut entries = good();
    let mut folder = raw("assets/", b"");
    folder.mode = 0o040_755;
    entries.insert(0, folder);
    let bundle = checked(&archive(&entries), &BundlePolicy::default()).unwrap();
    assert_eq!(bundle.manifest.app.name.as_str(), "hello");
    assert_eq!(bundle.component().unwrap().unwrap(), WASM);
    assert_eq!(bundle.component().unwrap().unwrap(), WASM, "it can be read again");
    assert!(bundle.has_assets());
}

#[test]
fn unsafe_paths() {
    let policy = BundlePolicy::default();
    for (name, why) in [
        ("../evil", "parent folder"),
        ("assets/../../evil", "parent folder"),
        ("assets/..", "parent folder"),
        ("/etc/passwd", "absolute"),
        ("assets\\evil", "backslash"),
        ("C:/evil", "drive letter"),
        ("assets/a\0b", "control character"),
        ("assets/a\x1b[2Jb", "control character"),
        ("assets//a", "empty"),
        ("assets/./a", "empty or `.`"),
        ("", "empty"),
    ] {
        refused(&archive(&with(raw(name, b"x"))), &policy, "bundle-path-unsafe", why);
    }
    let mut latin = raw("assets/", b"x");
    latin.name.extend(b"caf\xe9");
    refused(&archive(&with(latin)), &policy, "bundle-path-unsafe", "not UTF-8");
    let long = format!("assets/{}", "x".repeat(600));
    refused(
        &archive(&with(raw(&long, b"x"))),
        &policy,
        "bundle-path-too-long",
        "607 characters, more than the 512",
    );
}

#[test]
fn doubtful_entries() {
    let policy = BundlePolicy::default();
    let case = |entry, code, mentions| refused(&archive(&with(entry)), &policy, code, mentions);
    case(raw("component.wasm", b"other"), "bundle-duplicate-path", "component.wasm");
    case(raw("assets/index.html/deeper", b""), "bundle-path-conflict", "assets/index.html");
    let folder = Raw { mode: 0o040_755, ..raw("assets/index.html/", b"") };
    case(folder, "bundle-path-conflict", "assets/index.html");
    case(raw("README.md", b""), "bundle-entry-unexpected", "README.md");
    case(raw("hello/typecase.toml", b""), "bundle-entry-unexpected", "hello/typecase.toml");

    let link = Raw { mode: 0o120_777, ..raw("assets/link", b"/etc/passwd") };
    case(link, "bundle-symlink", "symbolic link");
    let device = Raw { mode: 0o020_666, ..raw("assets/tty", b"") };
    case(device, "bundle-symlink", "special file");
    let folder = Raw { mode: 0o040_755, ..raw("assets/folder/", b"content") };
    case(folder, "bundle-symlink", "folder with content");
    case(Raw { flags: 1, ..raw("assets/secret", b"x") }, "bundle-encrypted", "assets/secret");
    case(Raw { method: 12, ..raw("assets/x", b"x") }, "bundle-compression-unsupported", "stored");
    case(Raw { crc: 7, ..raw("assets/x", b"x") }, "bundle-corrupt", "assets/x");
    case(Raw { method: 8, ..raw("assets/x", b"\xff\xff\xff") }, "bundle-corrupt", "assets/x");

    // Two readers that trust different headers must not see different bundles.
    let two_names = Raw { local_name: Some(b"assets/b".to_vec()), ..raw("assets/a", b"x") };
    case(two_names, "bundle-corrupt", "header");
    case(Raw { offset: Some(0), ..raw("assets/a", b"x") }, "bundle-corrupt", "");
    let overlap = Raw { offset: Some(0), ..raw("typecase.toml", MANIFEST.as_bytes()) };
    refused(&archive(&[overlap.clone(), overlap]), &policy, "bundle-duplicate-path", "typecase.toml");
    let mut second_name = b"\x75\x70\x13\0\x01".to_vec();
    second_name.extend(crc32(b"assets/a").to_le_bytes());
    second_name.extend(b"component.wasm");
    assert!(checked(&archive(&with(Raw { extra: second_name, ..raw("assets/a", b"x") })), &policy).is_err());
}

#[test]
fn lies_and_bombs() {
    let mut policy = BundlePolicy::default();
    for bytes in [0, 2, 60_000] {
        let liar = Raw { bytes, ..raw("assets/x", b"abc") };
        let error = checked(&archive(&with(liar)), &policy).err().unwrap();
        assert!(matches!(error.code(), "bundle-size-mismatch" | "bundle-corrupt"), "{error}");
    }

    // A deflated entry that says it is small, in both of its headers.
    let zeros = vec![0; 900_000];
    let mut lying = deflated(&[
        ("typecase.toml", MANIFEST.as_bytes()),
        ("component.wasm", WASM),
        ("assets/zeros", &zeros),
    ]);
    let truth = 900_000u32.to_le_bytes();
    let places: Vec<_> = (0..lying.len() - 4).filter(|at| lying[*at..*at + 4] == truth).collect();
    assert_eq!(places.len(), 2);
    for at in places {
        lying[at..at + 4].copy_from_slice(&100u32.to_le_bytes());
    }
    let error = checked(&lying, &policy).err().unwrap();
    assert!(matches!(error.code(), "bundle-size-mismatch" | "bundle-corrupt"), "{error}");
    assert!(error.to_string().contains("assets/zeros"), "{error}");

    let bomb = vec![0; 8 << 20];
    let archive_of = |count: usize| {
        let names: Vec<_> = (0..count).map(|index| format!("assets/{index}")).collect();
        let mut entries = vec![("typecase.toml", MANIFEST.as_bytes()), ("component.wasm", WASM)];
        entries.extend(names.iter().map(|name| (name.as_str(), &bomb[..])));
        deflated(&entries)
    };
    refused(&archive_of(1), &policy, "bundle-expansion", "`assets/0` grows");
    policy.expansion_ratio_max = 100_000;
    policy.expanded_bytes_max = 20 << 20;
    refused(&archive_of(3), &policy, "bundle-expansion", "this server accepts 20971520");
    policy.expanded_bytes_max = 1 << 30;
    assert!(checked(&archive_of(1), &policy).is_ok());
}

#[test]
fn limits_of_the_operator() {
    let policy = BundlePolicy { entry_count_max: 2, ..BundlePolicy::default() };
    refused(&archive(&good()), &policy, "bundle-too-many-entries", "3 entries, more than the 2");
    let policy = BundlePolicy { bundle_bytes_max: 100, ..BundlePolicy::default() };
    refused(&archive(&good()), &policy, "bundle-too-large", "100");
    let policy = BundlePolicy { component_bytes_max: 4, ..BundlePolicy::default() };
    refused(&archive(&good()), &policy, "component-too-large", "8 bytes, more than the 4");
}

#[test]
fn manifest_and_content_must_agree() {
    let policy = BundlePolicy::default();
    let entry = |name: &str, data: &str| raw(name, data.as_bytes());
    let no_component = MANIFEST.replace("component = \"component.wasm\"\n", "");
    let no_assets = MANIFEST.replace("assets = \"assets/\"\n", "");
    let fallback = format!("{MANIFEST}fallback = \"app.html\"\n");
    let case = |manifest: &str, rest: &[Raw], code, mentions| {
        let mut entries = vec![entry("typecase.toml", manifest)];
        entries.extend_from_slice(rest);
        refused(&archive(&entries), &policy, code, mentions);
    };
    let all = good()[1..].to_vec();
    refused(&archive(&all), &policy, "manifest-missing", "root");
    refused(&archive(&[]), &policy, "manifest-missing", "root");
    case(
        "manifest_version = 1\n[app]\nnam = 1\n",
        &all,
        "manifest-invalid",
        "typecase.toml:3:1: unknown key `nam`",
    );
    case(MANIFEST, &all[1..], "component-missing", "component.wasm");
    case(&no_component, &all, "component-unexpected", "component.wasm");
    case(MANIFEST, &all[..1], "assets-missing", "assets/");
    case(&no_assets, &all, "assets-unexpected", "assets/");
    case(&fallback, &all, "fallback-missing", "app.html");
    case(&"#".repeat(70_000), &all, "bundle-corrupt", "65536");
    let mut not_text = entry("typecase.toml", "");
    not_text.data = vec![0xff; 4];
    not_text.bytes = 4;
    not_text.crc = crc32(&not_text.data);
    let mut entries = all.clone();
    entries.push(not_text);
    refused(&archive(&entries), &policy, "bundle-corrupt", "UTF-8");
}

#[test]
fn damaged_archives() {
    let policy = BundlePolicy::default();
    let bytes = archive(&good());
    for length in 4..bytes.len() {
        refused(&bytes[..length], &policy, "bundle-truncated", "upload it again");
    }
    refused(b"", &policy, "not-a-bundle", "typecase publish");
    refused(b"\0asm", &policy, "not-a-bundle", "typecase publish");
    refused(b"#!/bin/sh\nexit\n", &policy, "not-a-bundle", "typecase publish");
    refused(&[&bytes[..], b"more"].concat(), &policy, "not-a-bundle", "after the archive's end");
    refused(&[b"PK\x03\x04junk", &bytes[..]].concat(), &policy, "bundle-corrupt", "directory");

    let mut counts = bytes.clone();
    let end = counts.len() - 22;
    counts[end + 8] = 2;
    counts[end + 10] = 2;
    refused(&counts, &policy, "bundle-corrupt", "its end says 2 entries");
}

/// Whatever is changed in a good archive: no panic, and what is accepted can be read within its limits.
#[test]
fn mutated_archives() {
    let policy = BundlePolicy { expanded_bytes_max: 1 << 20, ..BundlePolicy::default() };
    let bytes = deflated(&[
        ("typecase.toml", MANIFEST.as_bytes()),
        ("component.wasm", WASM),
        ("assets/a.css", &b"body { color: red }".repeat(20)),
        ("assets/b.js", b"hello()"),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let (path, blob, index) =
        (folder.path().join("bundle"), folder.path().join("blob"), folder.path().join("index"));
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut accepted = 0;
    for _ in 0..2_000 {
        let mut mutant = bytes.clone();
        for _ in 0..=random(3) {
            let at = random(mutant.len());
            mutant[at] = [0, 0xff, mutant[at] ^ (1 << random(8)), random(256) as u8][random(4)];
        }
        std::fs::write(&path, &mutant).unwrap();
        match check(&path, &policy) {
            Ok(bundle) => {
                accepted += 1;
                bundle.component().unwrap();
                // Each write waits for the disk.
                if accepted <= 20 {
                    bundle.write_assets(&blob, &index).unwrap();
                    assert!(blob.metadata().unwrap().len() <= policy.expanded_bytes_max);
                }
            }
            Err(error) => assert!(error.is_publishers_fault(), "{error}"),
        }
    }
    assert!(accepted > 0, "some changes (times, permissions) do no harm");
}
