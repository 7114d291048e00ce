//! `topo trace`: where a connection ends, hop by hop.

use super::TraceArgs;
use super::session::{Purpose, Session, Which};
use crate::error::{Error, Exit};
use crate::trace::{self, Target};
use crate::view::View;

pub async fn trace(args: &TraceArgs, view: &mut dyn View) -> Result<Exit, Error> {
    let path = args.file.path();
    let apply = args.file.typed("apply");
    let session = Session::open(Which::File(path), Purpose::Look, "topo trace", view).await?;
    session.check_claims(true)?;
    let target = Target::find(session.cx().topology()?, &args.target)?;
    let found = Box::pin(trace::trace(session.cx(), session.snapshot(), &target, apply)).await?;
    view.trace(&found);
    Ok(if found.finding.is_some() { Exit::Differs } else { Exit::Done })
}
