//! Logs: appended, rewound, read.

use skep_proto::key::Key;
use skep_proto::limits::ENTRY_BYTES_MAX;
use skep_proto::log::checkpoint::Checkpoint;

use super::made::{Author, repo};
use super::{Open, load};
use crate::store::{Change, Error, FRAME_BYTES_MAX, Loaded, Store};

fn keep(store: &dyn Store, change: Change) {
    store.persist(&change).expect("the change fits");
}

/// A store that follows the author's repository.
fn followed(open: Open<'_>, author: &Author) -> Box<dyn Store> {
    let store = open();
    keep(store.as_ref(), Change::Follow { repo: author.repo });
    store
}

fn entries(store: &dyn Store, author: &Author) -> Vec<Vec<u8>> {
    let held = store.entries(&author.repo, &author.key(), 0, u64::MAX);
    held.expect("the log can be read")
}

/// The sizes of the checkpoints that are held: whole, ahead.
fn sizes(store: &dyn Store, key: &Key) -> (Option<u64>, Option<u64>) {
    let (whole, ahead) = checkpoints(store, key);
    (whole.map(|c| c.size), ahead.map(|c| c.size))
}

fn checkpoints(store: &dyn Store, of: &Key) -> (Option<Checkpoint>, Option<Checkpoint>) {
    let found = load(store).into_iter().find_map(|item| match item {
        Loaded::Checkpoints {
            key,
            aside: false,
            whole,
            ahead,
            ..
        } if key == *of => Some((whole, ahead)),
        _ => None,
    });
    found.unwrap_or_default()
}

pub(super) fn an_append_is_compared_with_what_is_held(open: Open<'_>) {
    let author = Author::new(repo(1), 1, 9);
    let store = followed(open, &author);
    keep(store.as_ref(), author.append(0, 3, 3));
    for (from, to) in [(0, 3), (2, 4), (4, 5), (0, 4)] {
        let refused = store.persist(&author.append(from, to, to));
        let from = from as u64;
        assert!(
            matches!(refused, Err(Error::Conflict { held: 3, from: f, .. }) if f == from),
            "{refused:?}"
        );
    }
    assert_eq!(entries(store.as_ref(), &author), author.entries(0, 3));
    keep(store.as_ref(), author.append(3, 4, 4));
    assert_eq!(entries(store.as_ref(), &author), author.entries(0, 4));
}

pub(super) fn what_does_not_fit_a_log_changes_nothing(open: Open<'_>) {
    let author = Author::new(repo(1), 1, 9);
    let other = Author::new(repo(1), 2, 9);
    let store = followed(open, &author);
    keep(store.as_ref(), author.append(0, 3, 3));
    let before = load(store.as_ref());
    let append = |entries: Vec<Vec<u8>>, checkpoint| Change::Append {
        repo: author.repo,
        key: author.key(),
        from: 3,
        entries,
        checkpoint,
    };
    let long = vec![7; ENTRY_BYTES_MAX + 1];
    let cosigned = |checkpoint| Change::Checkpoint {
        repo: author.repo,
        checkpoint,
    };
    let misfits = [
        append(vec![], author.checkpoint(4)),
        append(vec![long], author.checkpoint(4)),
        append(author.entries(3, 5), other.checkpoint(5)),
        append(author.entries(3, 5), author.checkpoint(4)),
        append(author.entries(3, 5), author.forked(4).checkpoint(5)),
        cosigned(author.checkpoint(2)),
        cosigned(author.checkpoint(4)),
        cosigned(author.forked(2).checkpoint(3)),
        cosigned(other.checkpoint(3)),
    ];
    for change in misfits {
        let refused = store.persist(&change);
        assert!(
            matches!(refused, Err(Error::Misfit { .. })),
            "{change:?}: {refused:?}"
        );
    }
    assert_eq!(load(store.as_ref()), before);
    keep(store.as_ref(), author.append(3, 5, 5));
}

pub(super) fn an_entry_may_be_as_long_as_the_limit(open: Open<'_>) {
    let long = vec![vec![7; ENTRY_BYTES_MAX], vec![], vec![8; ENTRY_BYTES_MAX]];
    let author = Author::new(repo(1), 1, 0).with_entries(long.clone());
    {
        let store = followed(open, &author);
        keep(store.as_ref(), author.append(0, 3, 3));
        assert_eq!(entries(store.as_ref(), &author), long);
    }
    assert_eq!(entries(open().as_ref(), &author), long);
}

pub(super) fn a_checkpoint_ahead_is_kept_until_it_is_passed(open: Open<'_>) {
    let author = Author::new(repo(1), 1, 9);
    let key = author.key();
    let steps = [
        ((0, 2, 8), (None, Some(8))),
        ((2, 3, 3), (Some(3), None)),
        ((3, 5, 8), (Some(3), Some(8))),
        ((5, 8, 8), (Some(8), None)),
    ];
    drop(followed(open, &author));
    for ((from, to, size), expected) in steps {
        {
            let store = open();
            keep(store.as_ref(), author.append(from, to, size));
            assert_eq!(sizes(store.as_ref(), &key), expected);
        }
        assert_eq!(sizes(open().as_ref(), &key), expected, "after a restart");
    }
}

pub(super) fn a_checkpoint_ahead_gives_way_to_the_next_append(open: Open<'_>) {
    let author = Author::new(repo(1), 1, 9);
    let store = followed(open, &author);
    keep(store.as_ref(), author.append(0, 2, 9));
    keep(store.as_ref(), author.append(2, 3, 7));
    // The one of size 9 was never proven for the third entry.
    assert_eq!(sizes(store.as_ref(), &author.key()), (None, Some(7)));
}

pub(super) fn newer_cosignatures_replace_older_ones(open: Open<'_>) {
    let author = Author::new(repo(1), 1, 9);
    let cosigned = |size, time| Change::Checkpoint {
        repo: author.repo,
        checkpoint: author.cosigned(size, time),
    };
    {
        let store = followed(open, &author);
        keep(store.as_ref(), author.append(0, 3, 3));
        keep(store.as_ref(), author.append(3, 4, 9));
        keep(store.as_ref(), cosigned(3, 10));
        keep(store.as_ref(), cosigned(9, 20));
        keep(store.as_ref(), cosigned(3, 30));
    }
    let store = open();
    let held = checkpoints(store.as_ref(), &author.key());
    assert_eq!(
        held,
        (Some(author.cosigned(3, 30)), Some(author.cosigned(9, 20)))
    );
    assert_eq!(entries(store.as_ref(), &author), author.entries(0, 4));
}

pub(super) fn a_rewind_keeps_the_first_entries_only(open: Open<'_>) {
    let author = Author::new(repo(1), 1, 600);
    let rewind = |to| Change::Rewind {
        repo: author.repo,
        key: author.key(),
        to,
    };
    let key = author.key();
    {
        let store = followed(open, &author);
        keep(store.as_ref(), rewind(5));
        keep(store.as_ref(), author.append(0, 400, 400));
        keep(store.as_ref(), author.append(400, 500, 600));
        // More than there are: nothing to do.
        keep(store.as_ref(), rewind(501));
        assert_eq!(
            sizes(store.as_ref(), &key),
            (Some(400), None),
            "600 is beyond"
        );
        keep(store.as_ref(), rewind(450));
        assert_eq!(entries(store.as_ref(), &author), author.entries(0, 450));
        assert_eq!(sizes(store.as_ref(), &key), (Some(400), None));
    }
    {
        let store = open();
        assert_eq!(entries(store.as_ref(), &author), author.entries(0, 450));
        keep(store.as_ref(), rewind(399));
        assert_eq!(sizes(store.as_ref(), &key), (None, None));
        assert_eq!(entries(store.as_ref(), &author), author.entries(0, 399));
    }
    {
        let store = open();
        assert_eq!(entries(store.as_ref(), &author), author.entries(0, 399));
        keep(store.as_ref(), rewind(0));
    }
    let left = [Loaded::Repository { repo: author.repo }];
    assert_eq!(load(open().as_ref()), left);
}

pub(super) fn a_log_goes_on_after_a_rewind(open: Open<'_>) {
    let author = Author::new(repo(1), 1, 300);
    let other = author.forked(140);
    {
        let store = followed(open, &author);
        keep(store.as_ref(), author.append(0, 300, 300));
        let rewind = Change::Rewind {
            repo: author.repo,
            key: author.key(),
            to: 140,
        };
        keep(store.as_ref(), rewind);
        let refused = store.persist(&author.append(300, 300, 300));
        assert!(matches!(refused, Err(Error::Conflict { held: 140, .. })));
        keep(store.as_ref(), other.append(140, 290, 290));
        assert_eq!(entries(store.as_ref(), &other), other.entries(0, 290));
    }
    let store = open();
    assert_eq!(entries(store.as_ref(), &other), other.entries(0, 290));
    assert_eq!(sizes(store.as_ref(), &other.key()), (Some(290), None));
}

/// Entries and checkpoint of the branch that was set aside.
fn aside(store: &dyn Store, of: &Key) -> (Vec<Vec<u8>>, Option<u64>) {
    let (mut all, mut size) = (Vec::new(), None);
    for item in load(store) {
        match item {
            Loaded::Entries {
                key,
                aside: true,
                entries,
                ..
            } if key == *of => all.extend(entries),
            Loaded::Checkpoints {
                key,
                aside: true,
                whole,
                ..
            } if key == *of => size = whole.map(|whole| whole.size),
            _ => {}
        }
    }
    (all, size)
}

pub(super) fn an_exchange_keeps_both_branches(open: Open<'_>) {
    let author = Author::new(repo(1), 1, 300);
    let other = author.forked(140);
    let key = author.key();
    let exchange = || Change::Exchange {
        repo: author.repo,
        key,
    };
    {
        let store = followed(open, &author);
        keep(store.as_ref(), exchange());
        keep(store.as_ref(), author.append(0, 300, 300));
        keep(store.as_ref(), exchange());
        assert!(entries(store.as_ref(), &author).is_empty());
        assert_eq!(sizes(store.as_ref(), &key), (None, None));
    }
    {
        let store = open();
        assert!(entries(store.as_ref(), &author).is_empty());
        let kept = (author.entries(0, 300), Some(300));
        assert_eq!(aside(store.as_ref(), &key), kept);
        keep(store.as_ref(), other.append(0, 200, 250));
        keep(store.as_ref(), other.append(200, 250, 250));
        assert_eq!(entries(store.as_ref(), &other), other.entries(0, 250));
        assert_eq!(aside(store.as_ref(), &key), kept);
    }
    {
        let store = open();
        assert_eq!(entries(store.as_ref(), &other), other.entries(0, 250));
        keep(store.as_ref(), exchange());
        assert_eq!(entries(store.as_ref(), &author), author.entries(0, 300));
    }
    let store = open();
    assert_eq!(entries(store.as_ref(), &author), author.entries(0, 300));
    assert_eq!(sizes(store.as_ref(), &key), (Some(300), None));
    let kept = (other.entries(0, 250), Some(250));
    assert_eq!(aside(store.as_ref(), &key), kept);
    // What is set aside is read-only: the log that is held goes on.
    let refused = store.persist(&other.append(250, 260, 260));
    assert!(matches!(refused, Err(Error::Conflict { held: 300, .. })));
}

pub(super) fn ranges_end_where_the_log_does(open: Open<'_>) {
    let author = Author::new(repo(1), 1, 400);
    let store = followed(open, &author);
    keep(store.as_ref(), author.append(0, 257, 400));
    let (id, key) = (author.repo, author.key());
    for (from, to) in [
        (0, 1),
        (1, 257),
        (127, 130),
        (128, 129),
        (255, 257),
        (256, 300),
    ] {
        let found = store.entries(&id, &key, from as u64, to as u64);
        let expected = author.entries(from, to.min(257));
        assert_eq!(found.expect("read"), expected, "{from}..{to}");
    }
    for (from, to) in [(257, 300), (0, 0), (5, 3), (u64::MAX, u64::MAX), (400, 0)] {
        let found = store.entries(&id, &key, from, to).expect("read");
        assert!(found.is_empty(), "{from}..{to}");
    }
    let nobody = Author::new(repo(1), 9, 1);
    let found = store.entries(&id, &nobody.key(), 0, 5).expect("read");
    assert!(found.is_empty(), "of a log that nobody appended to");
}

pub(super) fn logs_of_two_repositories_and_keys_are_apart(open: Open<'_>) {
    let authors = [
        Author::new(repo(1), 1, 5),
        Author::new(repo(1), 2, 5),
        Author::new(repo(2), 1, 5),
    ];
    for (len, author) in (1..).zip(&authors) {
        let store = followed(open, author);
        keep(store.as_ref(), author.append(0, len, len));
    }
    let store = open();
    for (len, author) in (1..).zip(&authors) {
        assert_eq!(entries(store.as_ref(), author), author.entries(0, len));
    }
}

pub(super) fn long_logs_are_loaded_in_frames(open: Open<'_>) {
    let long = (0..50).map(|i| vec![i; 60_000]).collect();
    let author = Author::new(repo(1), 1, 0).with_entries(long);
    let store = followed(open, &author);
    keep(store.as_ref(), author.append(0, 30, 50));
    keep(store.as_ref(), author.append(30, 50, 50));
    let mut all = Vec::new();
    for item in load(store.as_ref()) {
        if let Loaded::Entries { from, entries, .. } = item {
            assert_eq!(from, all.len() as u64, "without a gap");
            let bytes = entries.iter().map(Vec::len).sum::<usize>();
            assert!(bytes <= FRAME_BYTES_MAX, "{bytes}");
            all.extend(entries);
        }
    }
    assert_eq!(all, author.entries(0, 50));
}
