//! `topo diff`: the plan, and nothing else.

use super::session::{Purpose, Session, Which};
use super::{DiffArgs, lock};
use crate::error::{Error, Exit};
use crate::view::View;

pub async fn diff(args: &DiffArgs, view: &mut dyn View) -> Result<Exit, Error> {
    let which = Which::File(args.file.path());
    let session = Session::open(which, Purpose::Look, "topo diff", view).await?;
    session.check_claims(args.plan.moved)?;
    if args.plan.locked {
        lock::refuse_unlocked(&args.file, &session).await?;
    }
    let planned = session.plan(args.plan.wanted()).await?;
    view.plan(&planned.plan);
    session.warn(&planned.plan, view).await?;
    Ok(if planned.plan.in_sync() { Exit::Done } else { Exit::Differs })
}
