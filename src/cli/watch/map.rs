//! The topology as a picture in the browser that follows what is seen and done.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::backend::site::{Issue, Site};
use crate::cli::graph::{self, Drawn, Marks};
use crate::cli::session::{Planned, Session};
use crate::engine::Failure;
use crate::error::Error;
use crate::view::{Sighting, sighting_line};

/// Lines that are kept.
const LOG: usize = 200;

pub struct Map {
    site: Site,
    drawn: Option<Page>,
    log: VecDeque<String>,
}

/// The topology as it was seen last: drawn once, however much is told of it.
struct Page {
    page: Arc<str>,
    nodes: Value,
}

impl Map {
    pub async fn open(at: SocketAddr) -> Result<Self, Error> {
        let site = Site::open(at).await.map_err(|error| {
            let failure = Failure::because(format!("cannot serve the map on {at}"), &error);
            Error::refused(failure.hint("choose another port, or 0 for any that is free"))
        })?;
        Ok(Self { site, drawn: None, log: VecDeque::new() })
    }

    pub fn url(&self) -> &str {
        &self.site.url
    }

    pub async fn show(&mut self, session: &Session, planned: &Planned) -> Result<(), Error> {
        let Drawn { picture, manifests } = graph::marked(session, planned, Marks::Live).await?;
        let picture = picture.with_manifests(&manifests);
        let page = picture.live_page().into();
        self.drawn = Some(Page { page, nodes: picture.nodes_described() });
        self.publish();
        Ok(())
    }

    pub fn tell(&mut self, sighting: &Sighting) {
        self.log.push_back(sighting_line(sighting));
        if self.log.len() > LOG {
            self.log.pop_front();
        }
        self.publish();
    }

    fn publish(&self) {
        let Some(Page { page, nodes }) = &self.drawn else { return };
        let news = json!({ "nodes": nodes, "log": self.log });
        self.site.publish(Issue { page: Arc::clone(page), news: news.to_string().into() });
    }
}
