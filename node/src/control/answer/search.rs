//! What fits a query.

use skep_proto::control::{Refusal, Refused, Response};
use skep_proto::search::{Filter, Page, Query};

use super::{Answered, Answers, repo_of};

impl Answers {
    pub(super) fn find(&self, query: &str, page: &Page) -> Answered {
        let query = Query::parse(query).map_err(|error| Refused {
            why: Refusal::Failed,
            message: error.to_string(),
            hint: Some(error.hint()),
        })?;
        let snapshot = self.node.snapshot();
        // A repository that is not followed is a slip, not one in which nothing fits.
        for filter in &query.filters {
            if let Filter::Repo(repos) = filter {
                for repo in repos {
                    repo_of(&snapshot, &repo.to_string())?;
                }
            }
        }
        Ok(Response::Found(self.search.find(&snapshot, &query, page)))
    }
}
