//! What every store keeps: one suite, run on each implementation.
//!
//! A check panics where a store breaks it. It opens the store it is about once or again and again,
//! one at a time, and what one left the next must find.

mod blobs;
mod logs;
mod made;
mod repositories;

use super::{Error, Loaded, Store};

pub use made::{Author, blob, repo, signed_root};

/// Opens the store that a check is about; empty the first time.
pub type Open<'a> = &'a dyn Fn() -> Box<dyn Store>;

/// One thing that a store keeps.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    pub name: &'static str,
    pub run: fn(Open<'_>),
}

/// Names functions as checks.
macro_rules! checks {
    ($($module:ident::{$($check:ident),* $(,)?}),* $(,)?) => {
        &[$($($crate::store::contract::Check {
            name: stringify!($check),
            run: $crate::store::contract::$module::$check,
        }),*),*]
    };
}

pub const CHECKS: &[Check] = checks!(
    repositories::{
        nothing_is_kept_of_a_repository_that_is_not_followed,
        what_was_persisted_is_loaded_in_order,
        following_again_changes_nothing,
        a_root_document_is_replaced_by_more_signatures_and_by_nothing_else,
        a_fact_is_replaced_whole_and_forgotten,
        a_fact_keeps_to_its_limits,
        unfollowing_removes_everything_but_blobs,
        every_repository_is_named,
        loading_ends_with_the_first_error_of_its_reader,
    },
    logs::{
        an_append_is_compared_with_what_is_held,
        what_does_not_fit_a_log_changes_nothing,
        an_entry_may_be_as_long_as_the_limit,
        a_checkpoint_ahead_is_kept_until_it_is_passed,
        a_checkpoint_ahead_gives_way_to_the_next_append,
        newer_cosignatures_replace_older_ones,
        a_rewind_keeps_the_first_entries_only,
        a_log_goes_on_after_a_rewind,
        an_exchange_keeps_both_branches,
        ranges_end_where_the_log_does,
        logs_of_two_repositories_and_keys_are_apart,
        long_logs_are_loaded_in_frames,
    },
    blobs::{
        an_imported_blob_is_complete,
        an_import_that_fails_leaves_nothing,
        a_fetched_blob_is_readable_group_by_group_and_complete_at_the_end,
        nothing_that_does_not_verify_is_written,
        a_blob_of_one_group_needs_no_list,
        a_blob_that_was_not_begun_takes_no_groups,
        blobs_that_end_at_the_same_time_are_all_whole,
        what_was_fetched_before_a_restart_is_not_fetched_again,
        a_false_size_costs_no_group_that_is_held,
        a_removed_blob_is_gone,
        every_blob_is_found_once,
        space_is_counted,
    },
);

/// Everything that a store holds.
pub fn load(store: &dyn Store) -> Vec<Loaded> {
    let mut all = Vec::new();
    let loaded = store.load(&mut |item| {
        all.push(item);
        Ok::<(), Error>(())
    });
    loaded.expect("what a store holds can be loaded");
    all
}
