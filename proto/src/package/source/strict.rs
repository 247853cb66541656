//! Parts of the package file that a manifest has too: there unknown fields are carried, here they are
//! the author's typing errors.

use serde::Deserialize;

use crate::package::manifest;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    #[serde(default)]
    pub map: Option<String>,
    #[serde(default)]
    pub priority: Option<u32>,
    #[serde(default)]
    pub proceed_on: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Value {
    pub key: String,
    pub value: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MapValue {
    pub map: String,
    pub key: String,
    pub value: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Global {
    pub name: String,
    #[serde(default)]
    pub object: Option<String>,
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    #[serde(default)]
    pub default: Option<String>,
    #[serde(default)]
    pub description: Option<String>,
}

impl From<&Chain> for manifest::Chain {
    fn from(said: &Chain) -> Self {
        let Chain {
            map,
            priority,
            proceed_on,
        } = said.clone();
        Self {
            map,
            priority,
            proceed_on,
        }
    }
}

impl From<&Value> for manifest::Value {
    fn from(said: &Value) -> Self {
        let Value { key, value } = said.clone();
        Self { key, value }
    }
}

impl From<&MapValue> for manifest::MapValue {
    fn from(said: &MapValue) -> Self {
        let MapValue { map, key, value } = said.clone();
        Self { map, key, value }
    }
}

impl From<&Global> for manifest::Global {
    fn from(said: &Global) -> Self {
        let Global {
            name,
            object,
            kind,
            default,
            description,
        } = said.clone();
        Self {
            name,
            object,
            kind,
            default,
            description,
        }
    }
}
