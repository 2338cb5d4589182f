//! Debug information as only an enemy writes it, in place of a component's own.

/// The first bytes of a core module and of a component.
const HEAD_BYTES: usize = 8;
const CUSTOM: u8 = 0;
const CORE_MODULE: u8 = 1;

/// Covers all of the code.
const ADDRESSES: [u8; 8] = [0, 0, 0, 0, 0xff, 0xff, 0xff, 0x0f];

/// Functions that are inlined into each other so deeply that whoever follows them by recursion runs out of stack.
pub fn nested(component: &[u8], depth: usize) -> Vec<u8> {
    // Kinds of entries: a unit, a function and an inlined function, each with children and a range of addresses.
    let kind = |code: u8, tag: u8| [code, tag, 1, 0x11, 0x01, 0x12, 0x06, 0, 0];
    let mut kinds = [kind(1, 0x11), kind(2, 0x2e), kind(3, 0x1d)].concat();
    kinds.push(0);
    let entry = |code: u8| [&[code][..], &ADDRESSES].concat();
    let mut entries = [entry(1), entry(2), entry(3).repeat(depth)].concat();
    // Each list of children has an end.
    entries.resize(entries.len() + depth + 2, 0);
    with_sections(component, &[(".debug_abbrev", kinds), (".debug_info", unit(&entries))])
}

/// A table of so many lines, which takes a byte a line and is searched from its start.
pub fn long(component: &[u8], lines: usize) -> Vec<u8> {
    let kinds = vec![1, 0x11, 0, 0x10, 0x17, 0x11, 0x01, 0x12, 0x06, 0, 0, 0];
    let entries = [&[1, 0, 0, 0, 0][..], &ADDRESSES].concat();
    // Instructions of one byte, and of which of the others take arguments; one file.
    let mut head = vec![1, 1, 1, 0xfb, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1, 0];
    head.extend(b"a.rs\0\0\0\0\0");
    let mut table = vec![4, 0];
    table.extend((head.len() as u32).to_le_bytes());
    table.extend(head);
    table.extend([0, 5, 2, 0, 0, 0, 0]);
    // Different ones, or the archive would be taken for a zip bomb.
    table.extend((0..lines as u32).map(|line| 14 + (line.wrapping_mul(0x9e37_79b1) >> 25) as u8));
    table.extend([0, 1, 1]);
    let sections = [
        (".debug_abbrev", kinds),
        (".debug_info", unit(&entries)),
        (".debug_line", [&(table.len() as u32).to_le_bytes()[..], &table].concat()),
    ];
    with_sections(component, &sections)
}

/// A unit of DWARF 4 with addresses of four bytes.
fn unit(entries: &[u8]) -> Vec<u8> {
    let unit = [&[4, 0, 0, 0, 0, 0, 4][..], entries].concat();
    [&(unit.len() as u32).to_le_bytes()[..], &unit].concat()
}

/// The largest module of a component with these custom sections instead of its debug information.
fn with_sections(component: &[u8], new: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut outer = sections(component);
    let module = outer.iter_mut().filter(|(kind, _)| *kind == CORE_MODULE).max_by_key(|(_, body)| body.len());
    let (_, module) = module.expect("a component with a module");
    let mut inner = sections(module);
    inner.retain(|(kind, body)| {
        let (length, start) = number(body, 0);
        *kind != CUSTOM || !body[start..start + length].starts_with(b".debug_")
    });
    for (name, content) in new {
        inner.push((CUSTOM, [&leb128(name.len()), name.as_bytes(), content].concat()));
    }
    *module = joined(&module[..HEAD_BYTES], &inner);
    joined(&component[..HEAD_BYTES], &outer)
}

fn sections(bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let (mut sections, mut at) = (Vec::new(), HEAD_BYTES);
    while at < bytes.len() {
        let (length, start) = number(bytes, at + 1);
        sections.push((bytes[at], bytes[start..start + length].to_vec()));
        at = start + length;
    }
    sections
}

fn joined(head: &[u8], sections: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = head.to_vec();
    for (kind, body) in sections {
        bytes.push(*kind);
        bytes.extend(leb128(body.len()));
        bytes.extend(body);
    }
    bytes
}

/// A number in LEB128, and where it ends.
fn number(bytes: &[u8], mut at: usize) -> (usize, usize) {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = bytes[at];
        value |= usize::from(byte & 0x7f) << shift;
        (shift, at) = (shift + 7, at + 1);
        if byte & 0x80 == 0 {
            return (value, at);
        }
    }
}

/// A number as WebAssembly and DWARF write it.
pub fn leb128(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
