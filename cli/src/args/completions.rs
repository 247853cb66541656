//! `skep completions SHELL`.

/// Print the completions of a shell, to be put where it looks for them
#[derive(clap::Args)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}
