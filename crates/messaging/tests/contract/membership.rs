//! Who is given which partitions, when members come back to a group that has changed meanwhile.

use std::collections::BTreeSet;

use messaging::TopicSpec;

use crate::bench::{Reader, group, on_kafka, within};

/// All partitions of these readers together.
fn places(readers: &[&Reader]) -> BTreeSet<(String, i32)> {
    let assigned = readers.iter().flat_map(|reader| &reader.assigned);
    assigned.map(|it| (it.topic.to_string(), it.partition)).collect()
}

/// Reads as both until each has so many partitions, and no two the same.
pub async fn share(first: &mut Reader, second: &mut Reader, each: (usize, usize)) {
    let shared = |first: &Reader, second: &Reader| (first.assigned.len(), second.assigned.len()) == each;
    read_both(first, second, "a share for each", shared).await;
    assert_eq!(places(&[first, second]).len(), each.0 + each.1);
}

/// Reads as both until they have so many partitions together.
async fn read_all(first: &mut Reader, second: &mut Reader, all: usize) {
    let have_all = |first: &Reader, second: &Reader| places(&[first, second]).len() == all;
    read_both(first, second, "all partitions", have_all).await;
}

async fn read_both(
    first: &mut Reader,
    second: &mut Reader,
    what: &str,
    done: impl Fn(&Reader, &Reader) -> bool,
) {
    within(what, async {
        while !done(first, second) {
            tokio::select! {
                done = first.step() => done.unwrap(),
                done = second.step() => done.unwrap(),
            }
        }
    })
    .await;
}

/// A broker gives a member that comes back what it had before, without asking what there is by now.
#[test]
fn what_came_while_a_member_was_away_is_read_once_it_is_back() {
    on_kafka(async |bench| {
        let (early, late) = (bench.topic(1).await, bench.name());
        let group = group();
        let mut before = bench.reader(&group, "m", &[&early, &late]).await;
        before.read_until("what there is", |reader| reader.assigned.len() == 1).await;
        drop(before);
        bench.declare(&late, 2).await;
        let more = TopicSpec { name: early.clone(), partitions: 3, compacted: false };
        bench.log.apply(&[more], true).await.unwrap();
        let mut back = bench.reader(&group, "m", &[&early, &late]).await;
        back.read_until("what came meanwhile", |reader| places(&[reader]).len() == 5).await;
    });
}

#[test]
fn what_came_while_all_members_were_away_is_shared_once_they_are_back() {
    on_kafka(async |bench| {
        let (early, late) = (bench.topic(2).await, bench.name());
        let group = group();
        let both = async || {
            let first = bench.reader(&group, "m1", &[&early, &late]).await;
            (first, bench.reader(&group, "m2", &[&early, &late]).await)
        };
        let (mut first, mut second) = both().await;
        share(&mut first, &mut second, (1, 1)).await;
        drop((first, second));
        bench.declare(&late, 2).await;
        let (mut first, mut second) = both().await;
        share(&mut first, &mut second, (2, 2)).await;
    });
}

#[test]
fn what_only_a_new_release_reads_is_read_by_it() {
    on_kafka(async |bench| {
        let (common, new) = (bench.topic(2).await, bench.topic(2).await);
        let group = group();
        let mut old = bench.reader(&group, "m1", &[&common]).await;
        let mut replaced = bench.reader(&group, "m2", &[&common]).await;
        share(&mut old, &mut replaced, (1, 1)).await;
        drop(replaced);
        let mut release = bench.reader(&group, "m2", &[&common, &new]).await;
        read_all(&mut old, &mut release, 4).await;
        assert!(old.assigned.iter().all(|it| it.topic == common));
    });
}

/// It is given what it had before, and leaves it unread.
#[test]
fn what_a_release_that_was_rolled_back_reads_no_more_others_read() {
    on_kafka(async |bench| {
        let (common, new) = (bench.topic(2).await, bench.topic(4).await);
        let group = group();
        let mut stays = bench.reader(&group, "m1", &[&common, &new]).await;
        let mut replaced = bench.reader(&group, "m2", &[&common, &new]).await;
        share(&mut stays, &mut replaced, (3, 3)).await;
        drop(replaced);
        let mut release = bench.reader(&group, "m2", &[&common]).await;
        read_all(&mut stays, &mut release, 6).await;
        assert!(release.assigned.iter().all(|it| it.topic == common));
    });
}
