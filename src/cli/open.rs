//! `topo open`: a forward in the browser.

use std::net::SocketAddr;

use super::args::FileArgs;
use super::session::{Purpose, Session, Which};
use super::{load, sites};
use crate::backend::host::{Program, Speech, find_program, speech};
use crate::engine::Failure;
use crate::error::Error;
use crate::topology::Proto;
use crate::trace::{Target, Through, Way};
use crate::view::View;

/// Open a forward in the browser
///
/// Asks the port for a page to learn whether it is http or https, prints the URL and hands it to the
/// opener of the system: `open` on macOS, `xdg-open` elsewhere.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The port, in any short form: `10080`, `127.0.0.1:10080`, `port/10080`
    #[arg(value_name = "PORT")]
    port: String,
    #[command(flatten)]
    file: FileArgs,
    /// Only print the URL
    #[arg(long)]
    print: bool,
}

/// Nothing where there is no opener, or none is wanted.
pub async fn open(args: &Args, view: &mut dyn View) -> Result<Option<Program>, Error> {
    let which = Which::File(args.file.path());
    let session = Session::open(which, Purpose::Look, "topo open", view).await?;
    session.check_claims(true)?;
    let topology = session.cx().topology()?;
    let (listen, through) = forward(Target::find(topology, &args.port)?, &args.port)?;
    if !session.is_known() {
        return Err(session.not_found("open"));
    }
    let gateway = topology.gateway_name();
    let containers = sites::containers(&session);
    let stopped = containers.iter().find(|it| it.name == gateway && !it.is_running);
    if let (Some(gateway), Through::Gateway) = (stopped, through) {
        return Err(sites::stopped(gateway));
    }
    let host = session.cx().door(listen.ip()).await.ok_or_else(|| {
        Failure::new(format!("`{listen}` is a port of the engine's machine alone"))
            .hint("`gateway: { expose: { via: ssh } }` brings it to this machine")
    })?;
    let scheme = scheme(&speech(&host, listen.port()).await, listen, &args.port)?;
    let url = url(scheme, &host, listen.port());
    view.data(&format!("{url}\n"));
    let opener = if args.print { None } else { opener() };
    Ok(opener.map(|opener| opener.arg(url)))
}

fn forward(target: Target, typed: &str) -> Result<(SocketAddr, Through), Error> {
    let refused = |why: String| {
        Error::refused(
            Failure::new(why).hint("name the port of a tcp forward, such as `topo open 10080`"),
        )
    };
    let Target::Way(Way { listen: Some(listen), proto, through, .. }) = target else {
        return Err(refused(format!("`{typed}` is not a port of this machine")));
    };
    if proto == Proto::Udp {
        return Err(refused(format!("`{listen}/udp` cannot be opened in a browser")));
    }
    Ok((listen, through))
}

fn scheme(speech: &Speech, listen: SocketAddr, typed: &str) -> Result<&'static str, Error> {
    match speech {
        Speech::Http => Ok("http"),
        Speech::Https => Ok("https"),
        Speech::Other(said) => Err(Error::refused(
            Failure::new(format!("`{listen}` does not speak http"))
                .caused_by(format!("asked for a page, it says `{said}`")),
        )),
        Speech::None => Err(Error::refused(
            Failure::new(format!("`{listen}` does not answer when asked for a page"))
                .hint(format!("`topo trace {typed}` shows how far a connection gets")),
        )),
    }
}

/// As a browser would show it: without the port that goes without saying.
fn url(scheme: &str, host: &str, port: u16) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    match (scheme, port) {
        ("http", 80) | ("https", 443) => format!("{scheme}://{host}/"),
        _ => format!("{scheme}://{host}:{port}/"),
    }
}

/// None where nothing could be shown.
fn opener() -> Option<Program> {
    let is_set = |name| load::environment(name).is_some_and(|value| !value.is_empty());
    let name = if cfg!(target_os = "macos") {
        "open"
    } else if is_set("DISPLAY") || is_set("WAYLAND_DISPLAY") {
        "xdg-open"
    } else {
        return None;
    };
    find_program(name, &load::environment).map(Program::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_as_a_browser_shows_it() {
        assert_eq!(url("http", "127.0.0.1", 10080), "http://127.0.0.1:10080/");
        assert_eq!(url("https", "::1", 443), "https://[::1]/");
    }

    #[test]
    fn what_is_no_page_is_told() {
        let listen = "127.0.0.1:10001".parse().expect("an address");
        let said = |speech| scheme(&speech, listen, "10001").map_err(|error| error.to_string());
        assert_eq!(said(Speech::Https), Ok("https"));
        let other = said(Speech::Other("SSH-2.0-OpenSSH_9.2".to_owned())).expect_err("no page");
        assert!(other.contains("says `SSH-2.0-OpenSSH_9.2`"), "{other}");
        assert!(said(Speech::None).expect_err("no page").contains("does not answer"));
        let way = |proto, listen| {
            Target::Way(Way {
                proto,
                listen,
                through: Through::Gateway,
                to: crate::trace::Goal::NodePort(30080),
            })
        };
        assert!(forward(way(Proto::Tcp, Some(listen)), "10001").is_ok());
        let udp = forward(way(Proto::Udp, Some(listen)), "10001/udp").expect_err("no page");
        assert!(udp.to_string().contains("127.0.0.1:10001/udp"), "{udp}");
        assert!(forward(way(Proto::Tcp, None), "web").is_err());
    }
}
