//! Tickets: the checksummed text that one gives a friend.
//!
//! A ticket leads to a repository, perhaps to one package in it and the handle behind it, and says
//! where to ask first. The checksum (bech32m) guards against typing errors, not against forgery:
//! what makes a ticket trustworthy is the channel that it came over.

use bech32::{Bech32m, Hrp};

use crate::bytes::{self, Reader, Writer};
use crate::hash::Sha256;
use crate::id::{HandleId, NodeId, RepoId};
use crate::name::Name;

/// Human-readable part of a ticket.
const TICKET: Hrp = Hrp::parse_unchecked("skept");
/// Longest ticket, in characters: it must survive a chat message and a terminal line or five.
pub const TICKET_LEN_MAX: usize = 600;
/// Most addresses in a ticket, and most nodes: one machine has few that differ.
pub const TICKET_ADDRESSES_MAX: usize = 4;
/// Longest address, in bytes: a DNS name of a usual length with its protocols.
pub const ADDRESS_LEN_MAX: usize = 128;
/// Version number of the ticket format.
const VERSION: u64 = 1;

/// What a ticket says. CBOR `[1, repo, root version, root sha256, [[node key, [address]]],
/// package / null, handle / null, secret / null]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    pub repo: RepoId,
    /// The latest root document that its maker knew: (version, SHA-256 of the payload). A pin.
    pub root: (u64, Sha256),
    /// Where to ask first: nodes, each with multiaddresses without `/p2p`.
    pub nodes: Vec<(NodeId, Vec<String>)>,
    pub package: Option<Name>,
    pub handle: Option<HandleId>,
    /// Admission secret of a members-only repository.
    pub secret: Option<[u8; 16]>,
}

/// Why a text is no ticket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("not a ticket: a ticket begins with `skept1`")]
    Prefix,
    #[error("this ticket was mistyped or cut off: its checksum does not fit")]
    Checksum,
    #[error("this ticket has format {0}; this skep reads format 1")]
    Version(u64),
    #[error("this ticket is malformed")]
    Malformed(#[from] bytes::Error),
    #[error("a ticket of {0} characters, where at most 600 are allowed")]
    TooLong(usize),
}

impl Ticket {
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.array(8)
            .uint(VERSION)
            .bytes(self.repo.as_bytes())
            .uint(self.root.0)
            .bytes(self.root.1.as_bytes())
            .array(self.nodes.len());
        for (node, addresses) in &self.nodes {
            w.array(2)
                .bytes(node.key().as_bytes())
                .array(addresses.len());
            for address in addresses {
                w.text(address);
            }
        }
        w.option(self.package.as_ref(), |w, name| w.text(name.as_str()))
            .option(self.handle, |w, handle| w.bytes(handle.as_bytes()))
            .option(self.secret, |w, secret| w.bytes(&secret));
        w.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut r = Reader::strict(bytes, TICKET_LEN_MAX)?;
        r.array(8)?;
        match r.uint()? {
            VERSION => {}
            other => return Err(Error::Version(other)),
        }
        let repo = RepoId::from_hash(Sha256::from_bytes(r.bytes_of()?));
        let root = (r.uint()?, Sha256::from_bytes(r.bytes_of()?));
        if root.0 == 1 && RepoId::from_hash(root.1) != repo {
            let why = "its first root document is not the one that its repository is named after";
            return Err(bytes::Error::Invalid(why).into());
        }
        let mut addresses_left = TICKET_ADDRESSES_MAX;
        let nodes = r.items("nodes in a ticket", TICKET_ADDRESSES_MAX, |r| {
            r.array(2)?;
            let node = NodeId::from_key(crate::key::Key::read(r)?);
            let addresses = r.items("addresses in a ticket", addresses_left, |r| {
                let address = r.text(ADDRESS_LEN_MAX)?;
                crate::text::check_line(address, ADDRESS_LEN_MAX)
                    .map_err(|_| bytes::Error::Invalid("an address with control characters"))?;
                Ok(address.to_owned())
            })?;
            addresses_left -= addresses.len();
            Ok((node, addresses))
        })?;
        let package = r.option(|r| {
            let name = r.text(crate::name::NAME_LEN_MAX)?;
            name.parse()
                .map_err(|_| bytes::Error::Invalid("a package that is no name"))
        })?;
        let handle = r.option(|r| r.bytes_of().map(HandleId::from_bytes))?;
        let secret = r.option(Reader::bytes_of)?;
        r.end()?;
        Ok(Self {
            repo,
            root,
            nodes,
            package,
            handle,
            secret,
        })
    }

    /// The text form. Fails if it would be longer than [`TICKET_LEN_MAX`].
    pub fn to_text(&self) -> Result<String, Error> {
        let text = bech32::encode::<Bech32m>(TICKET, &self.encode())
            .map_err(|_| Error::TooLong(self.encode().len() * 8 / 5))?;
        if text.len() > TICKET_LEN_MAX {
            return Err(Error::TooLong(text.len()));
        }
        Ok(text)
    }

    /// The text form with as many of the addresses, in order, as fit.
    pub fn to_text_that_fits(mut self) -> String {
        loop {
            match self.to_text() {
                Ok(text) => return text,
                Err(_) => {
                    let shorter = self.nodes.last_mut().map(|(_, addresses)| addresses.pop());
                    match shorter {
                        Some(Some(_)) => {}
                        _ => {
                            self.nodes.pop();
                        }
                    }
                }
            }
        }
    }
}

impl std::str::FromStr for Ticket {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.len() > TICKET_LEN_MAX {
            return Err(Error::TooLong(text.len()));
        }
        if !text
            .get(..6)
            .is_some_and(|start| start.eq_ignore_ascii_case("skept1"))
        {
            return Err(Error::Prefix);
        }
        let checked = bech32::primitives::decode::CheckedHrpstring::new::<Bech32m>(text)
            .map_err(|_| Error::Checksum)?;
        let bytes: Vec<u8> = checked.byte_iter().collect();
        let ticket = Self::decode(&bytes)?;
        // Padding bits and upper case would give one ticket several spellings.
        match ticket.to_text() {
            Ok(canonical) if canonical.eq_ignore_ascii_case(text) => Ok(ticket),
            _ => Err(Error::Checksum),
        }
    }
}

#[cfg(test)]
mod tests;
