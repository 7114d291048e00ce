//! An NFS server as a person would have one: Ganesha in a container, set up right, or wrong in one
//! of the ways that are known to bite.

use std::fmt::Write as _;

use crate::lab::Lab;

/// Where a server is, and what it serves.
pub struct Ganesha {
    pub name: &'static str,
    /// Words for `docker run`: its network, address, published ports.
    pub place: Vec<String>,
    /// The path of its export, in the container too.
    pub path: String,
    /// The folder or volume that is there.
    pub source: String,
}

/// How it is set up: what differs from one that works.
#[derive(Debug, Clone, Copy, Default)]
pub struct Setup {
    pub core: &'static str,
    pub version4: &'static str,
    pub export: &'static str,
    /// The container's own file system instead of the folder.
    pub overlay: bool,
    pub protocols: Option<&'static str>,
}

impl Ganesha {
    /// Starts it, in the place of the one before.
    pub fn start(&self, lab: &Lab, setup: &Setup) {
        self.remove(lab);
        let file = lab.own(format!("{}.conf", self.name));
        std::fs::write(&file, setup.text(&self.path)).expect("written");
        let settings = format!("{}:/etc/ganesha/ganesha.conf:ro", file.display());
        // Without this name rpcbind listens on no port.
        let services = lab.own("services");
        std::fs::write(&services, "portmapper 111/tcp\nportmapper 111/udp\n").expect("written");
        let services = format!("{}:/etc/services:ro", services.display());
        let sort = if self.source.starts_with('/') { "bind" } else { "volume" };
        let folder = format!("type={sort},source={},target={}", self.source, self.path);
        let image = std::env::var("LAB_NFS_SERVER_IMAGE").expect("the lab's NFS server");

        let mut run = vec!["run", "-d", "--name", self.name, "-v", &settings, "-v", &services];
        run.extend(["--cap-add", "DAC_READ_SEARCH", "--cap-add", "SYS_ADMIN"]);
        run.extend(self.place.iter().map(String::as_str));
        if !setup.overlay {
            run.extend(["--mount", &folder]);
        }
        run.push(&image);
        lab.run("docker", &run);
        if setup.overlay {
            lab.run("docker", &["exec", self.name, "mkdir", "-p", &self.path]);
        }
        let listens = "until (: </dev/tcp/127.0.0.1/2049) 2>/dev/null; do sleep 0.05; done";
        lab.run("docker", &["exec", self.name, "timeout", "30", "bash", "-c", listens]);
    }

    pub fn remove(&self, lab: &Lab) {
        lab.try_run("docker", &["rm", "-f", self.name]);
    }

    /// As `mountd --no-tcp` leaves it: the port mapper knows mountd's UDP port alone. Of another
    /// version it would tell the port all the same.
    pub fn forget_mount_over_tcp(&self, lab: &Lab) {
        // What is not known yet cannot be forgotten.
        let forget = "for version in 1 3; do until rpcinfo -T tcp -d 100005 $version; do sleep 0.05; done; done";
        lab.run("docker", &["exec", self.name, "timeout", "30", "bash", "-ec", forget]);
    }
}

impl Setup {
    fn text(&self, path: &str) -> String {
        let protocols = self.protocols.unwrap_or("3, 4");
        let core = "MNT_Port = 20048; Enable_NLM = false; Enable_RQUOTA = false";
        let version4 = "Graceless = true; Only_Numeric_Owners = true; Minor_Versions = 0, 1, 2";
        let export = "Export_Id = 1; SecType = sys; Access_Type = RW; Squash = No_Root_Squash";
        format!(
            "NFS_CORE_PARAM {{ Protocols = {protocols}; {} }}\nNFSV4 {{ {} }}\n\
             EXPORT {{ Path = \"{path}\"; Pseudo = \"{path}\"; Protocols = {protocols}; {} FSAL {{ Name = VFS; }} }}\n\
             LOG {{ Default_Log_Level = WARN; }}\n",
            changed(core, self.core),
            changed(version4, self.version4),
            changed(export, self.export),
        )
    }
}

/// Settings, some of them in place of others: of two, Ganesha takes the first.
fn changed(settings: &str, by: &str) -> String {
    let key = |setting: &str| setting.split([' ', '{']).next().unwrap_or_default().to_owned();
    let given: Vec<String> = by.split("; ").map(key).collect();
    let kept = settings.split("; ").filter(|setting| !given.contains(&key(setting)));
    let mut whole = by.to_owned();
    for setting in kept {
        let _ = write!(whole, " {setting};");
    }
    whole
}
