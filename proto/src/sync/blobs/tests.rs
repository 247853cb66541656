use super::*;
use proptest::prelude::*;

fn request(ask: Ask) -> Request {
    Request {
        id: 7,
        repo: RepoId::from_hash(Sha256::of(&[b"repo"])),
        hash: Blake3::of(&[b"blob"]),
        ask,
    }
}

fn groups(first: u64, count: u64) -> Request {
    request(Ask::Groups { first, count })
}

fn group(index: u64, len: usize) -> Answer {
    Answer {
        id: 7,
        said: Said::Group(Claimed(Group {
            index,
            bytes: vec![0x5a; len],
        })),
    }
}

fn list(size: u64, len: usize) -> Answer {
    Answer {
        id: 7,
        said: Said::List(Claimed(List {
            size,
            bytes: vec![0x5a; len],
        })),
    }
}

fn reads(answer: &Answer) -> bool {
    match Answer::decode(answer.encode()) {
        Ok(read) => {
            assert_eq!(&read, answer);
            true
        }
        Err(error) => {
            assert_eq!(error.fault(), Fault::Peer);
            false
        }
    }
}

fn asks(request: &Request) -> bool {
    match Request::decode(&request.encode()) {
        Ok(read) => {
            assert_eq!(&read, request);
            true
        }
        Err(error) => {
            assert_eq!(error.fault(), Fault::Peer);
            false
        }
    }
}

#[test]
fn limits_of_a_request_hold_at_the_limit_and_fail_one_past() {
    assert!(asks(&request(Ask::List)));
    assert!(asks(&groups(0, 1)));
    assert!(asks(&groups(0, REQUEST_GROUPS_MAX)));
    assert!(asks(&groups(GROUPS_MAX - 1, 1)));
    assert!(asks(&groups(
        GROUPS_MAX - REQUEST_GROUPS_MAX,
        REQUEST_GROUPS_MAX
    )));
    assert!(!asks(&groups(0, 0)));
    assert!(!asks(&groups(0, REQUEST_GROUPS_MAX + 1)));
    assert!(!asks(&groups(GROUPS_MAX, 1)));
    assert!(!asks(&groups(
        GROUPS_MAX - REQUEST_GROUPS_MAX + 1,
        REQUEST_GROUPS_MAX
    )));
    assert!(!asks(&groups(u64::MAX, REQUEST_GROUPS_MAX)));
}

#[test]
fn limits_of_an_answer_hold_at_the_limit_and_fail_one_past() {
    assert!(reads(&group(GROUPS_MAX - 1, GROUP_BYTES_MAX)));
    assert!(!reads(&group(GROUPS_MAX, 1)));
    assert!(!reads(&group(0, GROUP_BYTES_MAX + 1)));
    assert!(reads(&list(BLOB_BYTES_MAX, LIST_BYTES_MAX)));
    assert!(!reads(&list(BLOB_BYTES_MAX + 1, LIST_BYTES_MAX)));
    assert!(!reads(&list(BLOB_BYTES_MAX + 1, LIST_BYTES_MAX + 32)));
    let busy = |seconds| Answer {
        id: 7,
        said: Said::Busy { seconds },
    };
    assert!(reads(&busy(BUSY_S_MAX)));
    assert!(!reads(&busy(BUSY_S_MAX + 1)));
}

#[test]
fn frames_at_their_longest_fit_their_limits_and_are_refused_one_past() {
    let longest = Request {
        id: u32::MAX,
        ..groups(GROUPS_MAX - REQUEST_GROUPS_MAX, REQUEST_GROUPS_MAX)
    };
    assert_eq!(longest.encode().len(), 80);
    let longest = Answer {
        id: u32::MAX,
        ..list(BLOB_BYTES_MAX, LIST_BYTES_MAX)
    };
    assert!(longest.encode().len() <= ANSWER_BYTES_MAX);
    let too_long = |error: Error, max: usize| match error {
        Error::Request(bytes::Error::TooLong { size, max: limit })
        | Error::Answer(bytes::Error::TooLong { size, max: limit }) => {
            size == max + 1 && limit == max
        }
        _ => false,
    };
    let error = Request::decode(&[0; REQUEST_BYTES_MAX + 1]).expect_err("too long");
    assert!(too_long(error, REQUEST_BYTES_MAX));
    let error = Answer::decode(vec![0; ANSWER_BYTES_MAX + 1]).expect_err("too long");
    assert!(too_long(error, ANSWER_BYTES_MAX));
}

#[test]
fn a_list_must_fit_the_size_it_comes_with() {
    let size = GROUP_BYTES_MAX as u64;
    assert!(reads(&list(0, 0)));
    assert!(reads(&list(size, 0)));
    assert!(!reads(&list(size, 32)));
    assert!(reads(&list(size + 1, 64)));
    assert!(!reads(&list(size + 1, 0)));
    assert!(!reads(&list(size + 1, 63)));
    assert!(!reads(&list(2 * size + 1, 64)));
}

#[test]
fn the_head_of_a_group_and_its_bytes_are_the_frame() {
    for len in [0, 1, 23, 24, 256, GROUP_BYTES_MAX] {
        let mut frame = group_head(7, 3, len);
        frame.extend_from_slice(&vec![0x5a; len]);
        assert_eq!(frame, group(3, len).encode());
    }
}

fn any_ask() -> impl Strategy<Value = Ask> {
    let range = (0..GROUPS_MAX).prop_flat_map(|first| {
        (Just(first), 1..=REQUEST_GROUPS_MAX.min(GROUPS_MAX - first))
            .prop_map(|(first, count)| Ask::Groups { first, count })
    });
    prop_oneof![Just(Ask::List), range]
}

fn any_request() -> impl Strategy<Value = Request> {
    (
        any::<u32>(),
        any::<[u8; 32]>(),
        any::<[u8; 32]>(),
        any_ask(),
    )
        .prop_map(|(id, repo, hash, ask)| Request {
            id,
            repo: RepoId::from_hash(Sha256::from_bytes(repo)),
            hash: Blake3::from_bytes(hash),
            ask,
        })
}

fn any_answer() -> impl Strategy<Value = Answer> {
    let group = (0..GROUPS_MAX, prop::collection::vec(any::<u8>(), 0..300))
        .prop_map(|(index, bytes)| Said::Group(Claimed(Group { index, bytes })));
    let list = (1..8 * GROUP_BYTES_MAX as u64).prop_map(|size| {
        let groups = usize::try_from(groups_of(size)).expect("eight at most");
        let bytes = vec![0xa5; if groups == 1 { 0 } else { 32 * groups }];
        Said::List(Claimed(List { size, bytes }))
    });
    let busy = (0..=BUSY_S_MAX).prop_map(|seconds| Said::Busy { seconds });
    let said = prop_oneof![group, list, busy, Just(Said::NotFound)];
    (any::<u32>(), said).prop_map(|(id, said)| Answer { id, said })
}

proptest! {
    #[test]
    fn a_request_reads_back_and_no_truncation_does(request in any_request()) {
        let frame = request.encode();
        prop_assert_eq!(Request::decode(&frame), Ok(request));
        for cut in 0..frame.len() {
            prop_assert!(Request::decode(&frame[..cut]).is_err());
        }
    }

    #[test]
    fn an_answer_reads_back_and_no_truncation_does(answer in any_answer()) {
        let frame = answer.encode();
        prop_assert_eq!(Answer::decode(frame.clone()), Ok(answer));
        for cut in 0..frame.len() {
            prop_assert!(Answer::decode(frame[..cut].to_vec()).is_err());
        }
    }

    #[test]
    fn a_flipped_bit_is_refused_or_says_something_else(
        request in any_request(), answer in any_answer(), bit in any::<prop::sample::Index>()
    ) {
        let mut frame = request.encode();
        let at = bit.index(frame.len() * 8);
        frame[at / 8] ^= 1 << (at % 8);
        if let Ok(read) = Request::decode(&frame) {
            prop_assert_ne!(read, request);
            prop_assert_eq!(read.encode(), frame);
        }
        let mut frame = answer.encode();
        let at = bit.index(frame.len() * 8);
        frame[at / 8] ^= 1 << (at % 8);
        if let Ok(read) = Answer::decode(frame.clone()) {
            prop_assert_ne!(&read, &answer);
            prop_assert_eq!(read.encode(), frame);
        }
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let read = Request::decode(&bytes).map(|request| request.encode());
        prop_assert!(read.is_err() || read == Ok(bytes.clone()));
        let read = Answer::decode(bytes.clone()).map(|answer| answer.encode());
        prop_assert!(read.is_err() || read == Ok(bytes));
    }
}
