//! `skep help …`.

/// Say more about a verb or a topic
#[derive(clap::Args)]
pub(crate) struct Help {
    /// A verb (`key new`), or a topic: environment, exit-codes, json, trust, names
    #[arg(value_name = "VERB|TOPIC")]
    pub(crate) about: Vec<String>,
}
