//! Reads the JSON of a root document: every field, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    APPROVALS_MAX, CUTS_MAX, Document, Error, Expiry, Limits, NAME_BYTES_MAX, NUMBER_MAX,
    OVERRIDES_MAX, REASON_BYTES_MAX, REGISTRARS_MAX, ROOT_KEYS_MAX, RULES, Registrars, RootCut,
    RootDocument, RootKeys, Visibility, WITNESS_NAME_BYTES_MAX, WITNESSES_MAX, Witness, Witnesses,
};
use crate::hash::Sha256;
use crate::json::{self, Json};
use crate::key::Key;
use crate::limits::ROOT_DOCUMENT_BYTES_MAX;
use crate::log::checkpoint::note::is_key_name;
use crate::log::entry::Mark;
use crate::text::{check_line, check_prose};

pub(super) fn document(payload: &[u8]) -> Result<Document, Error> {
    if payload.len() > ROOT_DOCUMENT_BYTES_MAX {
        return Err(Error::TooLong {
            size: payload.len(),
        });
    }
    let mut fields = Fields::of("root document", json::parse(payload)?)?;
    let (rules, version) = (fields.number("rules")?, fields.number("version")?);
    let prev = match fields.take("prev")? {
        Json::Null => None,
        prev => Some(hash("prev", &prev)?),
    };
    if rules != RULES {
        return Ok(Document::OtherRules {
            rules,
            version,
            prev,
        });
    }
    let kind = fields.take("type")?;
    require(
        kind.as_text() == Some("skep.root/1"),
        "type",
        "`skep.root/1`",
    )?;
    require(version > 0, "version", "a number from 1 on")?;
    let document = RootDocument {
        version,
        prev,
        name: fields.line("name", NAME_BYTES_MAX)?,
        seen: fields.number("seen")?,
        root: root_keys(fields.take("root")?)?,
        registrars: registrars(fields.array("registrars", REGISTRARS_MAX)?)?,
        witnesses: fields.optional("witnesses").map(witnesses).transpose()?,
        approvals: approvals(fields.number("approvals")?)?,
        visibility: visibility(&fields.take("visibility")?)?,
        cuts: cuts(fields.array("cuts", CUTS_MAX)?)?,
        overrides: fields
            .array("overrides", OVERRIDES_MAX)?
            .iter()
            .map(|leaf| hash("overrides", leaf))
            .collect::<Result<_, _>>()?,
        limits: limits(fields.take("limits")?)?,
        expires: fields.optional("expires").map(expires).transpose()?,
    };
    fields.end()?;
    Ok(Document::Known(Box::new(document)))
}

fn root_keys(value: Json) -> Result<RootKeys, Error> {
    let mut fields = Fields::of("root", value)?;
    let keys = fields
        .array("keys", ROOT_KEYS_MAX)?
        .iter()
        .map(|value| key("keys", value))
        .collect::<Result<Vec<_>, _>>()?;
    let threshold = fields.number("threshold")?;
    fields.end()?;
    let distinct: BTreeSet<_> = keys.iter().collect();
    require(distinct.len() == keys.len(), "keys", "distinct keys")?;
    let threshold = majority("threshold", threshold, keys.len())?;
    Ok(RootKeys { keys, threshold })
}

/// More than half of `of`, and at most all: then any two quorums share a key.
fn majority(field: &'static str, quorum: u64, of: usize) -> Result<usize, Error> {
    let quorum = usize::try_from(quorum).unwrap_or(usize::MAX);
    let fits = quorum <= of && of < 2 * quorum;
    require(fits, field, "more than half of the keys and at most all")?;
    Ok(quorum)
}

fn registrars(mut values: Vec<Json>) -> Result<Registrars, Error> {
    let live = values.pop().ok_or(Error::Field {
        field: "registrars",
        expected: "a list with the live registrar last",
    })?;
    let mut fields = Fields::of("registrars", live)?;
    let live = key("key", &fields.take("key")?)?;
    fields.end()?;
    let fixed = values
        .into_iter()
        .map(|value| {
            let mut fields = Fields::of("registrars", value)?;
            let mark = fields.mark()?;
            fields.end()?;
            Ok(mark)
        })
        .collect::<Result<Vec<_>, Error>>()?;
    let mut distinct: BTreeSet<_> = fixed.iter().map(|mark| mark.key).collect();
    distinct.insert(live);
    require(
        distinct.len() == fixed.len() + 1,
        "registrars",
        "distinct keys",
    )?;
    Ok(Registrars { fixed, live })
}

fn witnesses(value: Json) -> Result<Witnesses, Error> {
    let mut fields = Fields::of("witnesses", value)?;
    let keys = fields
        .array("keys", WITNESSES_MAX)?
        .into_iter()
        .map(|value| {
            let mut fields = Fields::of("keys", value)?;
            let name = fields.line("name", WITNESS_NAME_BYTES_MAX)?;
            require(is_key_name(&name), "name", "a name that stands in a note")?;
            let key = key("key", &fields.take("key")?)?;
            fields.end()?;
            Ok(Witness { name, key })
        })
        .collect::<Result<Vec<_>, Error>>()?;
    let quorum = majority("quorum", fields.number("quorum")?, keys.len())?;
    let max_age_s = fields.number("max_age_s")?;
    fields.end()?;
    Ok(Witnesses {
        keys,
        quorum,
        max_age_s,
    })
}

fn approvals(number: u64) -> Result<u8, Error> {
    let approvals = u8::try_from(number).unwrap_or(u8::MAX);
    require(
        approvals <= APPROVALS_MAX,
        "approvals",
        "a number from 0 to 8",
    )?;
    Ok(approvals)
}

fn visibility(value: &Json) -> Result<Visibility, Error> {
    match value.as_text() {
        Some("public") => Ok(Visibility::Public),
        Some("members") => Ok(Visibility::Members),
        _ => Err(Error::Field {
            field: "visibility",
            expected: "`public` or `members`",
        }),
    }
}

fn cuts(values: Vec<Json>) -> Result<Vec<RootCut>, Error> {
    let cuts = values
        .into_iter()
        .map(|value| {
            let mut fields = Fields::of("cuts", value)?;
            let cut = RootCut {
                mark: fields.mark()?,
                reason: fields.prose("reason", REASON_BYTES_MAX)?,
            };
            fields.end()?;
            Ok(cut)
        })
        .collect::<Result<Vec<_>, Error>>()?;
    let distinct: BTreeSet<_> = cuts.iter().map(|cut| cut.mark.key).collect();
    require(distinct.len() == cuts.len(), "cuts", "one for each key")?;
    Ok(cuts)
}

fn limits(value: Json) -> Result<Limits, Error> {
    let mut fields = Fields::of("limits", value)?;
    let limits = Limits {
        entries_per_log: fields.number("entries_per_log")?,
        bytes_per_log: fields.number("bytes_per_log")?,
    };
    fields.end()?;
    Ok(limits)
}

fn expires(value: Json) -> Result<Expiry, Error> {
    value
        .as_text()
        .and_then(|text| text.parse().ok())
        .ok_or(Error::Field {
            field: "expires",
            expected: "a time of the form `2027-06-01T00:00:00Z`",
        })
}

fn hash(field: &'static str, value: &Json) -> Result<Sha256, Error> {
    value
        .as_text()
        .and_then(|text| text.parse().ok())
        .ok_or(Error::Field {
            field,
            expected: "a SHA-256 of 64 lower-case hex digits",
        })
}

fn key(field: &'static str, value: &Json) -> Result<Key, Error> {
    value
        .as_text()
        .and_then(|text| text.parse().ok())
        .ok_or(Error::Field {
            field,
            expected: "a key of 66 lower-case hex digits",
        })
}

fn require(holds: bool, field: &'static str, expected: &'static str) -> Result<(), Error> {
    if holds {
        Ok(())
    } else {
        Err(Error::Field { field, expected })
    }
}

/// The fields of an object that nobody has taken yet.
struct Fields(BTreeMap<String, Json>);

impl Fields {
    fn of(field: &'static str, value: Json) -> Result<Self, Error> {
        match value {
            Json::Object(fields) => Ok(Self(fields)),
            _ => Err(Error::Field {
                field,
                expected: "an object",
            }),
        }
    }

    fn take(&mut self, field: &'static str) -> Result<Json, Error> {
        self.0.remove(field).ok_or(Error::Field {
            field,
            expected: "there",
        })
    }

    /// `None` only where the field is absent: null stands for nothing.
    fn optional(&mut self, field: &'static str) -> Option<Json> {
        self.0.remove(field)
    }

    fn number(&mut self, field: &'static str) -> Result<u64, Error> {
        match self.take(field)?.as_uint() {
            Some(number) if number <= NUMBER_MAX => Ok(number),
            _ => Err(Error::Field {
                field,
                expected: "a number without sign",
            }),
        }
    }

    fn array(&mut self, field: &'static str, max: usize) -> Result<Vec<Json>, Error> {
        match self.take(field)? {
            Json::Array(items) if items.len() <= max => Ok(items),
            _ => Err(Error::Field {
                field,
                expected: "a list within its limit",
            }),
        }
    }

    fn line(&mut self, field: &'static str, max: usize) -> Result<String, Error> {
        match self.take(field)? {
            Json::Text(text) if check_line(&text, max).is_ok() => Ok(text),
            _ => Err(Error::Field {
                field,
                expected: "a line within its limit",
            }),
        }
    }

    fn prose(&mut self, field: &'static str, max: usize) -> Result<String, Error> {
        match self.take(field)? {
            Json::Text(text) if check_prose(&text, max).is_ok() => Ok(text),
            _ => Err(Error::Field {
                field,
                expected: "text within its limit",
            }),
        }
    }

    /// `key`, `size` and `root`; a size of 0 has the root of nothing.
    fn mark(&mut self) -> Result<Mark, Error> {
        let mark = Mark {
            key: key("key", &self.take("key")?)?,
            size: self.number("size")?,
            root: hash("root", &self.take("root")?)?,
        };
        let fits = mark.size > 0 || mark.root == Sha256::of(&[]);
        require(fits, "root", "SHA-256 of nothing, as the size is 0")?;
        Ok(mark)
    }

    fn end(self) -> Result<(), Error> {
        match self.0.into_keys().next() {
            Some(name) => Err(Error::UnknownField(name.chars().take(80).collect())),
            None => Ok(()),
        }
    }
}
