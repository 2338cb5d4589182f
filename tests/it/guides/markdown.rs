//! What a guide tells its reader to do, in order.

/// One thing to do.
#[derive(Debug, PartialEq)]
pub enum Step {
    Run { command: String, output: Vec<String> },
    Background(String),
    CtrlC,
    Write { path: String, text: String },
    Change { path: String, from: String, to: String },
}

/// Finds the steps of a document.
pub fn parse(text: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() == "<!-- ctrl-c -->" {
            steps.push(Step::CtrlC);
        }
        let Some(info) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
        match info.split_whitespace().collect::<Vec<_>>()[..] {
            ["console"] => steps.extend(commands(&block)),
            ["console", "background"] => {
                let only = commands(&block).into_iter().map(|step| match step {
                    Step::Run { command, .. } => Step::Background(command),
                    other => other,
                });
                steps.extend(only);
            }
            ["diff", path] => steps.push(change(path, &block)),
            [_, path] => steps.push(Step::Write { path: path.to_owned(), text: block.join("\n") + "\n" }),
            _ => {}
        }
    }
    steps
}

/// Commands with what each prints; one that ends with a backslash goes on in the next line.
fn commands(block: &[&str]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut goes_on = false;
    for line in block {
        let begins = line.strip_prefix("$ ");
        match (begins, steps.last_mut()) {
            (None, Some(Step::Run { command, .. })) if goes_on => {
                command.push('\n');
                command.push_str(line);
                goes_on = line.ends_with('\\');
            }
            (Some(command), _) => {
                goes_on = command.ends_with('\\');
                steps.push(Step::Run { command: command.to_owned(), output: Vec::new() });
            }
            (None, Some(Step::Run { output, .. })) => output.push((*line).to_owned()),
            (None, _) => panic!("a console block begins with a command, not with {line:?}"),
        }
    }
    steps
}

fn change(path: &str, block: &[&str]) -> Step {
    let side = |other: char| {
        let kept = block.iter().filter(|line| !line.starts_with(other));
        kept.map(|line| line.get(1..).unwrap_or_default().to_owned() + "\n").collect()
    };
    Step::Change { path: path.to_owned(), from: side('+'), to: side('-') }
}

/// Whether these lines are what a document shows; `…` in a line stands for any text, alone for any lines.
pub fn is_shown(shown: &[String], lines: &[&str]) -> bool {
    let Some((first, rest)) = shown.split_first() else { return lines.is_empty() };
    if first.trim() == "…" {
        return (0..=lines.len()).any(|skipped| is_shown(rest, &lines[skipped..]));
    }
    lines.split_first().is_some_and(|(line, others)| is_line(first, line) && is_shown(rest, others))
}

fn is_line(shown: &str, line: &str) -> bool {
    let mut pieces = shown.split('…');
    let Some(mut rest) = line.strip_prefix(pieces.next().unwrap_or_default()) else { return false };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        let found = if pieces.peek().is_none() { rest.strip_suffix(piece).map(|_| rest.len()) } else { None };
        match found.or_else(|| rest.find(piece).map(|at| at + piece.len())) {
            Some(end) if pieces.peek().is_some() => rest = &rest[end..],
            Some(_) => return rest.ends_with(piece),
            None => return false,
        }
    }
    true
}

#[test]
fn documents_are_read_as_they_are_meant() {
    let text = "\
Text.
```console
$ one \\
    more
out … put
$ two
```
```toml
shown = true
```
```rust src/lib.rs
fn f() {}
```
```diff src/lib.rs
-fn f() {}
+fn g() {}
```
```console background
$ stays
```
<!-- ctrl-c -->
";
    let (write, run) = ("src/lib.rs".to_owned(), |command: &str, output: &[&str]| Step::Run {
        command: command.to_owned(),
        output: output.iter().map(|line| (*line).to_owned()).collect(),
    });
    let expected = [
        run("one \\\n    more", &["out … put"]),
        run("two", &[]),
        Step::Write { path: write.clone(), text: "fn f() {}\n".to_owned() },
        Step::Change { path: write, from: "fn f() {}\n".to_owned(), to: "fn g() {}\n".to_owned() },
        Step::Background("stays".to_owned()),
        Step::CtrlC,
    ];
    assert_eq!(parse(text), expected);
}

#[test]
fn an_ellipsis_stands_for_what_differs() {
    let is = |shown: &str, printed: &str| {
        let shown: Vec<String> = shown.lines().map(str::to_owned).collect();
        is_shown(&shown, &printed.lines().collect::<Vec<_>>())
    };
    assert!(
        is("a … c", "a b c") && is("…\nlast", "x\ny\nlast") && is("a\n…", "a") && is("… ms)", "took (3 ms)")
    );
    assert!(!is("a … c", "a b d") && !is("a", "a\nb") && !is("…\nlast", "x\ny"));
}
