use super::*;
use crate::key::Key;

fn ticket() -> Ticket {
    Ticket {
        repo: RepoId::from_hash(Sha256::of(&[b"repo"])),
        root: (3, Sha256::of(&[b"root"])),
        nodes: vec![(
            NodeId::from_key(Key::ed25519(&[7; 32])),
            vec!["/ip4/192.0.2.7/tcp/7701".to_owned()],
        )],
        package: Some("drop".parse().expect("a name")),
        handle: Some(HandleId::from_bytes([9; 32])),
        secret: None,
    }
}

#[test]
fn a_ticket_reads_back() {
    let text = ticket().to_text().expect("short enough");
    assert!(text.starts_with("skept1"));
    assert_eq!(text.parse(), Ok(ticket()));
    assert_eq!(text.to_uppercase().parse(), Ok(ticket()));
}

#[test]
fn every_typing_error_is_noticed() {
    let text = ticket().to_text().expect("short enough");
    for i in 6..text.len() {
        let mut typo = text.clone().into_bytes();
        typo[i] = if typo[i] == b'q' { b'p' } else { b'q' };
        let typo = String::from_utf8(typo).expect("ASCII");
        assert_eq!(typo.parse::<Ticket>(), Err(Error::Checksum), "{typo}");
    }
    for cut in 6..text.len() {
        assert!(text[..cut].parse::<Ticket>().is_err());
    }
    assert_eq!("skep1xyz".parse::<Ticket>(), Err(Error::Prefix));
}

#[test]
fn addresses_that_do_not_fit_are_left_out() {
    let mut long = ticket();
    long.nodes[0].1 = vec!["/dns/".to_owned() + &"x".repeat(120); 4];
    assert!(matches!(long.to_text(), Err(Error::TooLong(_))));
    let text = long.to_text_that_fits();
    assert!(text.len() <= TICKET_LEN_MAX);
    let read: Ticket = text.parse().expect("a ticket");
    assert!(!read.nodes[0].1.is_empty());
}

#[test]
fn at_most_four_addresses_in_all() {
    let mut many = ticket();
    many.package = None;
    many.handle = None;
    many.nodes = (0..5)
        .map(|i| (NodeId::from_key(Key::ed25519(&[i; 32])), vec![]))
        .collect();
    let text = many.to_text().expect("short enough");
    assert!(matches!(text.parse::<Ticket>(), Err(Error::Malformed(_))));
    many.nodes.truncate(4);
    many.nodes[0].1 = vec!["/a".to_owned(); 4];
    let text = many.to_text().expect("short enough");
    assert!(text.parse::<Ticket>().is_ok());
    many.nodes[1].1 = vec!["/a".to_owned()];
    let text = many.to_text().expect("short enough");
    assert!(matches!(text.parse::<Ticket>(), Err(Error::Malformed(_))));
}

#[test]
fn a_ticket_whose_first_root_document_is_another_repositorys_is_refused() {
    let own = Sha256::of(&[b"its own"]);
    let first = |sha256| Ticket {
        repo: RepoId::from_hash(own),
        root: (1, sha256),
        ..ticket()
    };
    let good = first(own).to_text().expect("short");
    assert_eq!(good.parse(), Ok(first(own)));
    let other = first(Sha256::of(&[b"another"])).to_text().expect("short");
    assert!(matches!(other.parse::<Ticket>(), Err(Error::Malformed(_))));
}
