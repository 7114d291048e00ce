//! `topo kubeconfig`

use super::args::NamedArgs;
use super::session::{Purpose, Session};
use super::sites;
use crate::engine::Failure;
use crate::error::{Error, Exit};
use crate::resources::{self, Container};
use crate::view::View;

/// Print a kubeconfig of this topology's cluster alone
///
/// For a shell of its own: `topo kubeconfig > edge.config; export KUBECONFIG=$PWD/edge.config`. It
/// holds the administrator's key. The entry that `topo apply` writes into your own kubeconfig stays as
/// it is; where that is gone, `topo apply` puts it back.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: NamedArgs,
}

pub async fn kubeconfig(args: &Args, view: &mut dyn View) -> Result<Exit, Error> {
    let session = Session::open(args.which.which(), Purpose::Look, "topo kubeconfig", view).await?;
    session.check_claims(true)?;
    let cx = session.cx();
    if cx.makes_cluster() {
        if !session.is_known() {
            return Err(session.not_found("kubeconfig"));
        }
        let containers = sites::containers(&session);
        if !containers.iter().any(Container::is_node) {
            let failure = Failure::new(format!("there is no cluster `{}`", session.name()));
            let is_in_file = cx.file.as_ref().is_some_and(|topology| topology.cluster.is_some());
            return Err(Error::refused(if is_in_file {
                failure.hint("`topo apply` makes it")
            } else {
                failure
            }));
        }
        if let Some(plane) = sites::stopped_plane(&containers) {
            return Err(sites::stopped(plane));
        }
    }
    view.data(&resources::kubeconfig_alone(cx).await?);
    Ok(Exit::Done)
}
