//! Blobs: whole, partly, not for everybody, from many at once.

use std::sync::atomic::{AtomicUsize, Ordering};

use skep_node::net::{FetchError, Groups, Limits};

use super::*;

/// Five groups, the last one short.
fn blob() -> Vec<u8> {
    pattern(4 * GROUP_BYTES_MAX + 1_000)
}

async fn serving(shelf: Shelf, limits: Limits) -> (Node, Node) {
    let [low, high] = seeds();
    let mut server = config(low);
    server.limits = limits;
    (Node::start(server, shelf).await, Node::plain(high).await)
}

async fn next(groups: &mut Groups) -> Option<Result<(u64, Vec<u8>), FetchError>> {
    let next = tokio::time::timeout(PATIENCE, groups.next())
        .await
        .expect("an answer");
    next.map(|group| group.map(|claimed| (claimed.0.index, claimed.0.bytes)))
}

/// All groups up to the end or an error.
async fn all(groups: &mut Groups) -> (Vec<(u64, Vec<u8>)>, Option<FetchError>) {
    let mut got = Vec::new();
    loop {
        match next(groups).await {
            Some(Ok(group)) => got.push(group),
            Some(Err(error)) => {
                assert!(next(groups).await.is_none(), "nothing after an error");
                return (got, Some(error));
            }
            None => return (got, None),
        }
    }
}

#[tokio::test]
async fn a_blob_of_five_groups_arrives_as_it_is() {
    for way in [Way::Tcp, Way::Quic] {
        let (shelf, hash) = Shelf::with(&blob());
        let (mut server, mut client) = serving(shelf, brisk()).await;
        join(&mut client, &mut server, way).await;
        let list = client
            .net
            .fetch_list(server.id, repo(), hash)
            .await
            .expect("offered")
            .0;
        assert_eq!((list.size, list.bytes.len()), (blob().len() as u64, 5 * 32));
        let mut groups = client
            .net
            .fetch_groups(server.id, repo(), hash, 0, 5)
            .await
            .expect("asked");
        let (got, error) = all(&mut groups).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(
            got.iter().map(|(index, _)| *index).collect::<Vec<_>>(),
            [0, 1, 2, 3, 4]
        );
        assert!(got.into_iter().flat_map(|(_, bytes)| bytes).eq(blob()));
        let mut one = client
            .net
            .fetch_groups(server.id, repo(), hash, 3, 1)
            .await
            .expect("asked");
        let (got, error) = all(&mut one).await;
        assert!(error.is_none(), "{error:?}");
        assert!(got[0] == (3, blob()[3 * GROUP_BYTES_MAX..4 * GROUP_BYTES_MAX].to_vec()));
    }
}

#[tokio::test]
async fn a_blob_that_is_not_offered_and_one_that_is_not_there_are_the_same() {
    let (shelf, hash) = Shelf::with(&blob());
    let (mut server, mut client) = serving(shelf, brisk()).await;
    join(&mut client, &mut server, Way::Tcp).await;
    let elsewhere = RepoId::from_hash(Sha256::of(&[b"another repository"]));
    let absent = Blake3::of(&[b"absent"]);
    for (repo, hash) in [(elsewhere, hash), (repo(), absent), (elsewhere, absent)] {
        let list = client.net.fetch_list(server.id, repo, hash).await;
        assert!(matches!(list, Err(FetchError::NotFound)), "{list:?}");
        let mut groups = client
            .net
            .fetch_groups(server.id, repo, hash, 0, 5)
            .await
            .expect("asked");
        let (got, error) = all(&mut groups).await;
        assert!(
            got.is_empty() && matches!(error, Some(FetchError::NotFound)),
            "{error:?}"
        );
    }
    let past = client.net.fetch_groups(server.id, repo(), hash, 4, 2).await;
    let (got, error) = all(&mut past.expect("asked")).await;
    assert!(
        got.len() == 1 && matches!(error, Some(FetchError::NotFound)),
        "past the last group"
    );
}

#[tokio::test]
async fn what_is_withdrawn_in_mid_transfer_stops_at_the_next_group() {
    let (mut shelf, hash) = Shelf::with(&blob());
    shelf.withdraw_after = Some(1);
    let (mut server, mut client) = serving(shelf, brisk()).await;
    join(&mut client, &mut server, Way::Tcp).await;
    let mut groups = client
        .net
        .fetch_groups(server.id, repo(), hash, 0, 5)
        .await
        .expect("asked");
    let (got, error) = all(&mut groups).await;
    assert_eq!(got.len(), 2);
    assert!(matches!(error, Some(FetchError::NotFound)), "{error:?}");
}

#[tokio::test]
async fn a_removed_member_is_refused_from_the_next_request_on() {
    let (shelf, hash) = Shelf::with(&blob());
    let [low, high] = seeds();
    let shelf = Arc::new(shelf);
    struct Shared(Arc<Shelf>);
    impl BlobSource for Shared {
        fn offered(&self, peer: &NodeId, repo: &RepoId, hash: &Blake3) -> bool {
            self.0.offered(peer, repo, hash)
        }
        fn list(&self, hash: &Blake3) -> std::io::Result<Option<List>> {
            self.0.list(hash)
        }
        fn group(&self, hash: &Blake3, index: u64) -> std::io::Result<Option<Vec<u8>>> {
            self.0.group(hash, index)
        }
    }
    let mut server = Node::start(config(low), Shared(Arc::clone(&shelf))).await;
    let mut client = Node::plain(high).await;
    join(&mut client, &mut server, Way::Tcp).await;
    assert!(client.net.fetch_list(server.id, repo(), hash).await.is_ok());
    shelf.withdrawn.lock().unwrap().insert(client.id);
    let list = client.net.fetch_list(server.id, repo(), hash).await;
    assert!(matches!(list, Err(FetchError::NotFound)), "{list:?}");
}

#[tokio::test]
async fn a_node_in_full_use_says_busy() {
    let (shelf, hash) = Shelf::with(&blob());
    let (mut server, mut client) = serving(
        shelf,
        Limits {
            blob_requests: 0,
            ..brisk()
        },
    )
    .await;
    join(&mut client, &mut server, Way::Tcp).await;
    let list = client.net.fetch_list(server.id, repo(), hash).await;
    assert!(
        matches!(list, Err(FetchError::Busy { seconds: 1 })),
        "{list:?}"
    );
}

#[tokio::test]
async fn a_disk_that_fails_is_no_absence_and_no_fault_of_the_peer() {
    struct Broken;
    impl BlobSource for Broken {
        fn offered(&self, _: &NodeId, _: &RepoId, _: &Blake3) -> bool {
            true
        }
        fn list(&self, _: &Blake3) -> std::io::Result<Option<List>> {
            Err(std::io::Error::other("no such luck"))
        }
        fn group(&self, _: &Blake3, _: u64) -> std::io::Result<Option<Vec<u8>>> {
            panic!("a source that panics does not take the node with it")
        }
    }
    let [low, high] = seeds();
    let mut server = Node::start(config(low), Broken).await;
    let mut client = Node::plain(high).await;
    let sessions = join(&mut client, &mut server, Way::Tcp).await;
    let hash = Blake3::of(&[]);
    let list = client.net.fetch_list(server.id, repo(), hash).await;
    assert!(
        matches!(list, Err(FetchError::Busy { seconds: 60 })),
        "{list:?}"
    );
    let mut groups = client
        .net
        .fetch_groups(server.id, repo(), hash, 0, 1)
        .await
        .expect("asked");
    let (_, error) = all(&mut groups).await;
    assert!(
        matches!(error, Some(FetchError::Busy { seconds: 60 })),
        "{error:?}"
    );
    speak(&mut client, &mut server, sessions).await;
}

/// Counts how many requests are inside at once.
struct Counting {
    shelf: Shelf,
    inside: AtomicUsize,
    most: Arc<AtomicUsize>,
}

impl BlobSource for Counting {
    fn offered(&self, peer: &NodeId, repo: &RepoId, hash: &Blake3) -> bool {
        self.shelf.offered(peer, repo, hash)
    }
    fn list(&self, hash: &Blake3) -> std::io::Result<Option<List>> {
        self.shelf.list(hash)
    }
    fn group(&self, hash: &Blake3, index: u64) -> std::io::Result<Option<Vec<u8>>> {
        let now = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        let group = self.shelf.group(hash, index);
        self.inside.fetch_sub(1, Ordering::SeqCst);
        group
    }
}

#[tokio::test]
async fn a_burst_of_64_requests_to_one_peer_is_served_whole_on_two_streams() {
    for way in [Way::Tcp, Way::Quic] {
        let (shelf, hash) = Shelf::with(&blob());
        let most = Arc::new(AtomicUsize::new(0));
        let counting = Counting {
            shelf,
            inside: AtomicUsize::new(0),
            most: Arc::clone(&most),
        };
        let [low, high] = seeds();
        let mut server = Node::start(config(low), counting).await;
        let mut client = Node::plain(high).await;
        join(&mut client, &mut server, way).await;
        let mut tasks = tokio::task::JoinSet::new();
        for i in 0..64 {
            let (net, id) = (client.net.clone(), server.id);
            tasks.spawn(async move {
                let mut groups = net
                    .fetch_groups(id, repo(), hash, i % 5, 1)
                    .await
                    .expect("asked");
                let (got, error) = all(&mut groups).await;
                assert!(error.is_none(), "{error:?}");
                assert_eq!(got[0].0, i % 5);
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.expect("served");
        }
        assert!((1..=2).contains(&most.load(Ordering::SeqCst)));
    }
}

#[tokio::test]
async fn nobody_connected_and_no_range_are_errors() {
    let [low, high] = seeds();
    let a = Node::plain(low).await;
    let hash = Blake3::of(&[]);
    let list = a.net.fetch_list(node_id(high), repo(), hash).await;
    assert!(matches!(list, Err(FetchError::NotConnected)), "{list:?}");
    for (first, count) in [(0, 0), (0, 1_025), (16_384, 1), (u64::MAX, 2)] {
        let groups = a
            .net
            .fetch_groups(node_id(high), repo(), hash, first, count)
            .await;
        assert!(matches!(groups.err(), Some(FetchError::Range { .. })));
    }
}

#[tokio::test]
async fn who_stops_waiting_for_a_group_gets_an_error_and_not_an_end() {
    let (shelf, hash) = Shelf::with(&blob());
    let (mut server, mut client) = serving(shelf, brisk()).await;
    join(&mut client, &mut server, Way::Tcp).await;
    let mut groups = client
        .net
        .fetch_groups(server.id, repo(), hash, 0, 5)
        .await
        .expect("asked");
    {
        let mut waiting = std::pin::pin!(groups.next());
        // Polled once, then given up; the first group cannot be there whole.
        let once = futures::future::poll_immediate(&mut waiting).await;
        assert!(once.is_none());
    }
    assert!(matches!(
        next(&mut groups).await,
        Some(Err(FetchError::Abandoned))
    ));
    assert!(next(&mut groups).await.is_none());
    let list = client.net.fetch_list(server.id, repo(), hash).await;
    assert!(
        list.is_ok(),
        "the place of the abandoned stream is free: {list:?}"
    );
}
