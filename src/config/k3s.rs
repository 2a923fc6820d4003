//! `k3s agent`: its flags, which are the keys of its `config.yaml`.

use std::path::PathBuf;
use std::rc::Rc;

use super::file::{Read, Said, is_nothing, values};
use super::given::{Key, Means, Origin};
use super::kubelet::{CLUSTER, LOGGING, NAMES_OF_REGISTRIES, PROBED, SERVER};
use crate::yaml::tree::{Content, Node};
use Means::{Is, NotYet, Nothing};

const CONTAINERD: &str = "there is no containerd";
const FLANNEL: &str = "there is no flannel";
const PROXY: &str = "there is no kube-proxy";
const BALANCER: &str = "no server is asked";

/// Flags of `k3s agent` (reference G.3) and what they mean.
pub(super) const FLAGS: &[(&str, Means)] = &[
    ("airgap-extra-registry", NotYet(NAMES_OF_REGISTRIES)),
    ("alsologtostderr", Nothing(LOGGING)),
    ("bind-address", Nothing(SERVER)),
    ("cluster-secret", Nothing(CLUSTER)),
    ("config", Nothing("it names the file itself")),
    ("container-runtime-endpoint", Nothing(CONTAINERD)),
    ("data-dir", Is(Key::DataDir)),
    ("debug", Is(Key::Log)),
    ("default-runtime", Nothing(CONTAINERD)),
    ("disable-apiserver-lb", Nothing(BALANCER)),
    ("disable-default-registry-endpoint", Is(Key::OnlyMirrors)),
    ("disable-selinux", Nothing("it is off unless selinux says otherwise")),
    ("docker", Nothing(CONTAINERD)),
    ("enable-pprof", Nothing(SERVER)),
    ("flannel-cni-conf", Nothing(FLANNEL)),
    ("flannel-conf", Nothing(FLANNEL)),
    ("flannel-iface", Nothing(FLANNEL)),
    ("image-credential-provider-bin-dir", NotYet(NAMES_OF_REGISTRIES)),
    ("image-credential-provider-config", NotYet(NAMES_OF_REGISTRIES)),
    ("image-service-endpoint", Nothing(CONTAINERD)),
    ("kube-proxy-arg", Nothing(PROXY)),
    ("lb-server-port", Nothing(BALANCER)),
    ("log", Nothing(LOGGING)),
    ("no-flannel", Nothing(FLANNEL)),
    ("node-external-dns", Nothing(CLUSTER)),
    ("node-external-ip", Nothing(CLUSTER)),
    ("node-internal-dns", Nothing(CLUSTER)),
    ("node-ip", NotYet(PROBED)),
    ("node-label", Is(Key::NodeLabel)),
    ("node-name", Is(Key::NodeName)),
    ("node-taint", Nothing("there is no scheduler")),
    ("nonroot-devices", Nothing(CONTAINERD)),
    ("pause-image", Nothing("pods are held by a process of the agent's own")),
    ("prefer-bundled-bin", Nothing("nothing is bundled")),
    ("private-registry", Is(Key::PrivateRegistry)),
    ("protect-kernel-defaults", NotYet("a check of the kernel's settings")),
    ("resolv-conf", Is(Key::ResolvConf)),
    ("rootless", NotYet("running without root")),
    ("selinux", Is(Key::Selinux)),
    ("server", Nothing(CLUSTER)),
    ("snapshotter", Nothing(CONTAINERD)),
    ("token", Nothing(CLUSTER)),
    ("token-file", Nothing(CLUSTER)),
    ("v", Is(Key::Log)),
    ("vmodule", Nothing(LOGGING)),
    ("vpn-auth", Nothing(FLANNEL)),
    ("vpn-auth-file", Nothing(FLANNEL)),
    ("with-node-id", NotYet("a number behind the node's name")),
    // Letters, as k3s takes them in its file too.
    ("c", Nothing("it names the file itself")),
    ("d", Is(Key::DataDir)),
    ("i", NotYet(PROBED)),
    ("l", Nothing(LOGGING)),
    ("s", Nothing(CLUSTER)),
    ("t", Nothing(CLUSTER)),
];

/// Beside those of `k3s agent`: flags of ours that k3s' server, a kubelet or we have, so that one file may hold all that the command line takes.
pub(super) const OURS: &[(&str, Means)] = &[
    ("cgroup-root", Is(Key::CgroupRoot)),
    ("cluster-cidr", Is(Key::PodCidr)),
    ("cluster-dns", Is(Key::ClusterDns)),
    ("cluster-domain", Is(Key::ClusterDomain)),
    ("hostname-override", Is(Key::NodeName)),
    ("log-dir", Is(Key::LogDir)),
    ("pod-cidr", Is(Key::PodCidr)),
    ("pod-manifest-path", Is(Key::PodManifestPath)),
];

/// Flags of `k3s server`, which alone has them: a node that was its own server has them in its file. What they say of a
/// cluster means nothing here.
#[rustfmt::skip]
pub(super) const OF_SERVER: &[&str] = &[
    "advertise-address", "advertise-port", "agent-token", "agent-token-file", "cluster-init",
    "cluster-reset", "cluster-reset-restore-path", "datastore-cafile", "datastore-certfile", "datastore-endpoint",
    "datastore-keyfile", "default-local-storage-path", "disable", "disable-apiserver", "disable-cloud-controller",
    "disable-controller-manager", "disable-etcd", "disable-helm-controller", "disable-kube-proxy",
    "disable-network-policy", "disable-scheduler", "egress-selector-mode", "embedded-registry", "etcd-arg",
    "etcd-disable-snapshots", "etcd-expose-metrics", "etcd-s3", "etcd-s3-access-key", "etcd-s3-bucket",
    "etcd-s3-bucket-lookup-type", "etcd-s3-config-secret", "etcd-s3-endpoint", "etcd-s3-endpoint-ca",
    "etcd-s3-folder", "etcd-s3-insecure", "etcd-s3-proxy", "etcd-s3-region", "etcd-s3-retention",
    "etcd-s3-secret-key", "etcd-s3-session-token", "etcd-s3-skip-ssl-verify", "etcd-s3-timeout",
    "etcd-snapshot-compress", "etcd-snapshot-dir", "etcd-snapshot-name", "etcd-snapshot-reconcile-interval",
    "etcd-snapshot-retention", "etcd-snapshot-schedule-cron", "flannel-backend", "flannel-external-ip",
    "flannel-ipv6-masq", "helm-job-image", "https-listen-port", "kine-tls", "kube-apiserver-arg",
    "kube-cloud-controller-manager-arg", "kube-controller-manager-arg", "kube-scheduler-arg",
    "multi-cluster-cidr", "no-deploy", "secrets-encryption", "secrets-encryption-provider", "service-cidr",
    "service-node-port-range", "servicelb-namespace", "supervisor-metrics", "system-default-registry", "tls-san",
    "tls-san-security", "write-kubeconfig", "write-kubeconfig-group", "write-kubeconfig-mode",
];

const KUBELET_ARG: &str = "kubelet-arg";

/// What the flag `name` means.
pub fn flag(name: &str) -> Option<Means> {
    let own = FLAGS.iter().chain(OURS).find(|(known, _)| *known == name).map(|(_, means)| *means);
    own.or_else(|| OF_SERVER.contains(&name).then_some(Nothing(CLUSTER)))
}

/// A key, and what all files together say of it.
struct Line {
    key: String,
    /// The values and the place of each.
    values: Vec<(String, Origin)>,
    origin: Origin,
    nothing: bool,
}

/// Takes in `documents`, of which later ones count more. A key with `+` adds to what was said before.
pub fn read(documents: &[(PathBuf, Rc<Node>)], kubelet_args: bool, read: &mut Read) {
    let mut lines: Vec<Line> = Vec::new();
    for (path, document) in documents {
        let Content::Map(entries) = &document.content else {
            let wrong =
                super::given::Wrong::new("no configuration", "write lines such as `node-name: edge-1`");
            read.problem("", Origin::file(path, document.at), wrong);
            continue;
        };
        for entry in entries {
            let (key, adds) =
                entry.key.strip_suffix('+').map_or((entry.key.as_str(), false), |key| (key, true));
            let origin = Origin::file(path, entry.at);
            let known = key == KUBELET_ARG || flag(key).is_some();
            let found = match values(&entry.value) {
                Ok(found) => found,
                // What is not known is told by its name alone.
                Err(_) if !known => Vec::new(),
                Err((at, wrong)) => {
                    read.problem(key, Origin::file(path, at), wrong);
                    continue;
                }
            };
            let values = found.into_iter().zip(places(path, &entry.value, &origin)).collect();
            let nothing = is_nothing(&entry.value);
            let line = Line { key: key.to_owned(), values, origin, nothing };
            match lines.iter_mut().find(|known| known.key == key) {
                Some(known) if adds => {
                    known.values.extend(line.values);
                    (known.origin, known.nothing) = (line.origin, known.nothing && line.nothing);
                }
                Some(known) => *known = line,
                None => lines.push(line),
            }
        }
    }
    // The kubelet's own come last and win, as in k3s.
    let (of_kubelet, lines): (Vec<Line>, Vec<Line>) =
        lines.into_iter().partition(|line| line.key == KUBELET_ARG);
    for line in lines {
        let means = flag(&line.key);
        if line.nothing && !matches!(means, Some(Is(_)) | None) {
            continue;
        }
        let values = line.values.into_iter().map(|(value, _)| value).collect();
        read.take(Said { name: line.key, values, origin: line.origin }, means);
    }
    for (text, origin) in of_kubelet.into_iter().filter(|_| kubelet_args).flat_map(|line| line.values) {
        read.kubelet_arg(&text, origin);
    }
}

/// Where each of the values of `node` is: a list's items each have a place.
fn places(path: &std::path::Path, node: &Node, key: &Origin) -> Vec<Origin> {
    match &node.content {
        Content::List(items) => items.iter().map(|item| Origin::file(path, item.at)).collect(),
        Content::Map(entries) => entries.iter().map(|entry| Origin::file(path, entry.at)).collect(),
        Content::Scalar(_) => vec![key.clone()],
    }
}
