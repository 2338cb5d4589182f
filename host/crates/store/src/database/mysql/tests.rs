//! What only a server can do to us.

use std::time::Duration;

use super::*;
use crate::testing::{TestStore, publish, name};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_that_are_dropped_half_way_harm_no_other() {
    let test = TestStore::on_mariadb().await;
    for round in 0..300u64 {
        let store = test.store.clone();
        let call = tokio::spawn(async move {
            let app = format!("app-{round}");
            let _ = tokio::time::timeout(Duration::from_micros(round * 10), publish(&store, &app, b"1", true)).await;
        });
        call.await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    eprintln!("{}", test.server().query("SELECT trx_state, trx_started, trx_rows_modified FROM information_schema.innodb_trx").await);
    eprintln!("{}", test.server().query("SHOW PROCESSLIST").await);
    let mut failed = 0;
    for round in 0..100 {
        match test.store.app(&name("x")).await { Err(StoreError::NotFound(_)) => {}, other => {failed += 1; eprintln!("{round}: {other:?}")} }
        match publish(&test.store, &format!("new-{round}"), b"1", true).await { Ok(_) => {}, other => {failed += 1; eprintln!("{round}: {other:?}")} }
    }
    assert_eq!(failed, 0);
}
