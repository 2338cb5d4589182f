use std::time::Duration;

use typecase_model::LogEntry;

use super::*;
use crate::labels::ComponentLabels;
use crate::log_sink::{LogQueue, log_queue};

fn output() -> (InstanceOutput, LogQueue) {
    let (sink, queue) = log_queue();
    let labels = ComponentLabels { app: "shop".parse().unwrap(), release: 3 };
    (InstanceOutput::new(Arc::new(AppLog::new(labels, sink)), "r-1".into()), queue)
}

fn entries(queue: &LogQueue) -> Vec<LogEntry> {
    std::iter::from_fn(|| queue.next(Duration::ZERO).ok()).map(|received| received.entry).collect()
}

/// Level, source and message of each entry.
fn told(queue: &LogQueue) -> Vec<String> {
    let told = |entry: LogEntry| format!("{} {}: {}", entry.level, entry.source.as_str(), entry.message);
    entries(queue).into_iter().map(told).collect()
}

#[test]
fn lines_are_entries_and_indented_ones_belong_to_the_line_above() {
    let (output, queue) = output();
    output.append(Channel::Stdout, b"one\ntwo\r\n\n  of two\nthr");
    assert_eq!(told(&queue), ["info stdout: one", "info stdout: two\n  of two"]);
    output.append(Channel::Stdout, b"ee\n");
    output.append(Channel::Stderr, b"warned\n\tby this\nand again");
    assert_eq!(told(&queue), ["info stdout: three", "warn stderr: warned\n\tby this"]);
    drop(output);
    let last = entries(&queue).remove(0);
    assert_eq!((last.message.as_str(), &*last.request_id, last.release), ("and again", "r-1", 3));
}

#[test]
fn messages_have_levels_and_contexts() {
    let (output, queue) = output();
    output.log(EntryLevel::Critical, "till", "cash drawer\n  is stuck\n");
    output.log(EntryLevel::Trace, "", &"ä".repeat(ENTRY_BYTES_MAX));
    output.log(EntryLevel::Info, "", "  \n");
    let entries = entries(&queue);
    assert_eq!(entries.len(), 2);
    assert_eq!((entries[0].level, entries[0].context.as_deref()), (EntryLevel::Critical, Some("till")));
    assert_eq!((entries[0].source, &*entries[0].message), (EntrySource::Logging, "cash drawer\n  is stuck"));
    assert_eq!((entries[1].message.len(), &entries[1].context), (ENTRY_BYTES_MAX, &None));
}

#[test]
fn a_request_has_a_budget_and_a_reused_instance_gets_another() {
    let (output, queue) = output();
    let line = format!("{}\n", "x".repeat(20_000));
    for _ in 0..20 {
        output.append(Channel::Stdout, line.as_bytes());
    }
    output.log(EntryLevel::Info, "", "too late");
    let written = told(&queue);
    // Long lines are cut; the last entry says that there was more.
    assert_eq!(written.len(), 13 * 3 + 1);
    assert_eq!(written.last().unwrap(), "warn host: output beyond 262144 bytes per request is dropped");
    // Why it failed is told all the same.
    output.append(Channel::Stderr, b"noise\nthread 'main' panicked at a.rs:1:1:\nboom\n");
    assert_eq!(output.take_last_words().as_deref(), Some("panicked at a.rs:1:1: boom"));
    assert_eq!(told(&queue), [""; 0]);
    output.begin_request("r-2".into());
    output.append(Channel::Stdout, b"again\n");
    assert_eq!(&*entries(&queue)[0].request_id, "r-2");
}

#[test]
fn what_languages_say_of_a_failure_is_one_thing() {
    for (written, expected) in [
        (
            // Rust, in whatever pieces.
            &[
                "\nthread '<unnamed>' (1) panicked at src/lib.rs:27:25:\n",
                "no price\nfor this\n",
                "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n",
            ][..],
            "panicked at src/lib.rs:27:25: no price\nfor this",
        ),
        (
            &["memory allocation of 1048576 bytes failed\n", "note: run with `RUST_BACKTRACE=1` ...\n"],
            "memory allocation of 1048576 bytes failed",
        ),
        (
            &[
                "Error while running request handler: no price\n",
                "Stack:\n",
                "  price@app.js:3:38\n  later@app.js:6:62\n",
            ],
            "Error while running request handler: no price\n  price@app.js:3:38\n  later@app.js:6:62",
        ),
        (
            &["Exception while Exception in event listener for fetch\n", "app.js:3:9 Error: no price\n"],
            "exception in event listener for fetch: app.js:3:9 Error: no price",
        ),
        (
            &[
                "Traceback (most recent call last):\n",
                "  File \"app.py\", line 3, in handle\n",
                "    raise ValueError(1)\nValueError: 1\n",
            ],
            "Traceback (most recent call last):\n  File \"app.py\", line 3, in handle\n    raise ValueError(1)\nValueError: 1",
        ),
    ] {
        let (output, queue) = output();
        for piece in written {
            output.append(Channel::Stderr, piece.as_bytes());
        }
        assert_eq!(told(&queue), [""; 0], "held back: {written:?}");
        assert_eq!(output.take_last_words().as_deref(), Some(expected));
        for piece in written {
            output.append(Channel::Stderr, piece.as_bytes());
        }
        // No trap came: an entry of its own, an error.
        drop(output);
        assert_eq!(told(&queue), [format!("error stderr: {expected}")]);
    }
}

#[test]
fn last_words_end_where_something_else_begins() {
    let (output, queue) = output();
    output.append(
        Channel::Stderr,
        b"Error while running request handler: no price\nStack:\n  a@app.js:1:1\nnext\n",
    );
    output.append(Channel::Stderr, b"Traceback (most recent call last):\n  File\nValueError: 1\nafter\n");
    output.append(Channel::Stderr, b"thread 'x' is fine\nmemory allocation of the day\n");
    assert_eq!(
        told(&queue),
        [
            "error stderr: Error while running request handler: no price\n  a@app.js:1:1",
            "warn stderr: next",
            "error stderr: Traceback (most recent call last):\n  File\nValueError: 1",
            "warn stderr: after",
            "warn stderr: thread 'x' is fine",
            "warn stderr: memory allocation of the day",
        ]
    );
}
