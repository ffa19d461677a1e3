//! Several nodes of one database as if they were one: connections go to the first node that is well, and those of a node that has
//! fallen silent are cut, so that nobody waits for it. The client library can't be told how long to wait for an answer: so
//! connections to several nodes run through listeners of this process, which can end them.

use std::io;
use std::net::{Ipv4Addr, TcpListener as Listener};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::Text;
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::{Conn, Result, ping};

/// How often each node is asked how it is.
const LOOK: Duration = Duration::from_millis(500);
/// A node that hasn't said for this long that it is well counts as away.
const SILENCE: Duration = Duration::from_secs(5);
/// Longest time in which a node takes a connection.
const CONNECT: Duration = Duration::from_secs(2);
/// Bytes that are passed on at once.
const BUFFER: usize = 64 << 10;
/// The port of a node that names none.
const PORT: u16 = 3306;

/// The URL of a database, taken apart at the nodes.
#[derive(Debug, PartialEq, Eq)]
pub struct Url<'a> {
    /// Up to the first node.
    before: &'a str,
    /// The nodes, each with its port, in the order of preference.
    nodes: Vec<String>,
    /// From behind the last node.
    after: &'a str,
}

impl<'a> Url<'a> {
    /// Takes a URL apart, `mysql://user:password@node:port,node:port/base`, or says what it must be.
    pub fn parse(url: &'a str) -> std::result::Result<Self, &'static str> {
        let scheme = "mysql://";
        let rest = url.strip_prefix(scheme).ok_or("must begin with mysql://")?;
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let user = authority.rfind('@').map_or(0, |at| at + 1);
        let (before, rest) = url.split_at_checked(scheme.len() + user).unwrap_or((url, ""));
        let (hosts, after) = rest.split_at_checked(authority.len() - user).unwrap_or((rest, ""));
        let nodes: Vec<String> = hosts.split(',').map(with_port).collect();
        if nodes.len() > 1 {
            if hosts.split(',').any(str::is_empty) {
                return Err("names a node between each two commas, as in mysql://user:password@db1:3306,db2:3306/base");
            }
            if after.contains("unix_socket=") || after.contains("ssl_mode=verify_identity") {
                return Err("can't have unix_socket or ssl_mode=verify_identity with several nodes");
            }
        }
        Ok(Self { before, nodes, after })
    }

    /// The same database at another address.
    fn at(&self, address: impl std::fmt::Display) -> String {
        format!("{}{address}{}", self.before, self.after)
    }
}

fn with_port(host: &str) -> String {
    // The colons of an IPv6 address stand in brackets.
    let name = host.rfind(']').unwrap_or(0);
    let has_port = host.get(name..).is_some_and(|rest| rest.contains(':'));
    if has_port { host.to_owned() } else { format!("{host}:{PORT}") }
}

/// How a node is, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// It doesn't answer, is read-only, or has lost the majority of its cluster.
    Away,
    /// It is catching up with its cluster, or gives another node its data.
    Busy,
    Well,
}

struct Node {
    /// Place in the URL, from 1: what logs call it.
    number: usize,
    address: String,
    /// What it was the last time, and when that was.
    seen: Mutex<(Standing, Instant)>,
    /// Ends its connections.
    cut: watch::Sender<()>,
}

impl Node {
    fn standing(&self) -> Standing {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    fn is_silent(&self) -> bool {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).1.elapsed() > SILENCE
    }

    fn note(&self, standing: Standing) {
        let before = std::mem::replace(
            &mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner),
            (standing, Instant::now()),
        );
        match (before.0, standing) {
            (before, now) if before == now => {}
            (_, Standing::Away) => tracing::warn!(node = self.number, "a node of the database is away"),
            (_, Standing::Busy) => tracing::warn!(node = self.number, "a node of the database is not up to date"),
            (_, Standing::Well) => tracing::info!(node = self.number, "a node of the database is well again"),
        }
        if standing == Standing::Away {
            self.cut.send_replace(());
        }
    }
}

/// Opens the way to the nodes of a URL and gives the URL that takes it, which holds as long as the runtime lives. A URL of one node
/// stays as it is.
pub fn open(url: &str, threads: &Handle) -> io::Result<String> {
    let parsed = Url::parse(url).map_err(|wanted| io::Error::other(format!("the database's URL {wanted}")))?;
    if parsed.nodes.len() < 2 {
        return Ok(url.to_owned());
    }
    let mut nodes = Vec::new();
    for (number, address) in (1..).zip(&parsed.nodes) {
        // Taken to be well until it has been looked at.
        let seen = Mutex::new((Standing::Well, Instant::now()));
        let node = Arc::new(Node { number, address: address.clone(), seen, cut: watch::Sender::default() });
        nodes.push(node.clone());
        let looked_at = Arc::downgrade(&node);
        let own = parsed.at(listen(threads, move || Some(node.clone()))?);
        thread::Builder::new().name(format!("node-{number}")).spawn(move || look_at(&looked_at, &own))?;
    }
    threads.spawn(listen_for_silence(nodes.clone()));
    Ok(parsed.at(listen(threads, move || preferred(&nodes))?))
}

/// The first of the nodes that are best.
fn preferred(nodes: &[Arc<Node>]) -> Option<Arc<Node>> {
    let best = nodes.iter().rev().max_by_key(|node| node.standing());
    best.filter(|node| node.standing() > Standing::Away).cloned()
}

/// Passes connections on to the node that `pick` names when they come; none where it names none. Gives the address to connect to.
fn listen(threads: &Handle, pick: impl Fn() -> Option<Arc<Node>> + Send + 'static) -> io::Result<std::net::SocketAddr> {
    // Not a Unix socket: over one, clients take passwords and data for safe that the way to the node has to protect.
    let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    let _context = threads.enter();
    let listener = TcpListener::from_std(listener)?;
    threads.spawn(async move {
        loop {
            match listener.accept().await {
                Ok((client, _)) => drop(pick().map(|node| tokio::spawn(connect(client, node)))),
                Err(error) => {
                    tracing::warn!(%error, "a connection to the database could not be passed on");
                    sleep(LOOK).await;
                }
            }
        }
    });
    Ok(address)
}

/// Passes a connection on until one side ends it or the node is cut off.
async fn connect(client: TcpStream, node: Arc<Node>) {
    let mut cut = node.cut.subscribe();
    let ended = tokio::select! {
        ended = pass(client, &node.address) => ended,
        _ = cut.changed() => Ok(()),
    };
    if let Err(error) = ended {
        tracing::debug!(node = node.number, %error, "a connection to a node ended");
    }
}

async fn pass(mut client: TcpStream, address: &str) -> io::Result<()> {
    let mut server = timeout(CONNECT, TcpStream::connect(address)).await??;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER, BUFFER).await?;
    Ok(())
}

/// Whoever waits for a node that hangs, also who looks at it, is let go.
async fn listen_for_silence(nodes: Vec<Arc<Node>>) {
    loop {
        sleep(LOOK).await;
        nodes.iter().filter(|node| node.is_silent()).for_each(|node| node.note(Standing::Away));
    }
}

/// Looks at a node again and again, until the way to it is closed.
fn look_at(node: &Weak<Node>, url: &str) {
    let mut conn = None;
    while node.strong_count() > 0 {
        let standing = look(&mut conn, url).unwrap_or_else(|error| {
            tracing::debug!(%error, "a node can't be asked how it is");
            conn = None;
            Standing::Away
        });
        if let Some(node) = node.upgrade() {
            node.note(standing);
        }
        thread::sleep(LOOK);
    }
}

#[derive(QueryableByName)]
struct Variable {
    #[diesel(sql_type = Text, column_name = "Value")]
    value: String,
}

/// What a node says of itself. An engine that doesn't know a variable doesn't show it.
fn look(conn: &mut Option<Conn>, url: &str) -> Result<Standing> {
    let conn = match conn {
        Some(conn) => conn,
        None => conn.insert(Conn::establish(url).map_err(|error| super::Error::Unavailable(error.to_string()))?),
    };
    // Galera's nodes without a majority refuse it.
    ping(conn)?;
    let mut shown = |sql: &str| -> Result<Option<String>> {
        Ok(diesel::sql_query(sql).load::<Variable>(conn)?.pop().map(|variable| variable.value))
    };
    if shown("SHOW GLOBAL VARIABLES LIKE 'read_only'")?.is_some_and(|value| !["OFF", "0"].contains(&value.as_str())) {
        return Ok(Standing::Away);
    }
    let synced = "4";
    let state = shown("SHOW GLOBAL STATUS LIKE 'wsrep_local_state'")?;
    Ok(if state.is_none_or(|state| state == synced) { Standing::Well } else { Standing::Busy })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_at_its_nodes() {
        let url = Url::parse("mysql://u:p,w@db1,[::1]:3307,10.0.0.2:1/base?ssl_mode=required").unwrap();
        assert_eq!(url.nodes, ["db1:3306", "[::1]:3307", "10.0.0.2:1"]);
        assert_eq!(url.at("h:1"), "mysql://u:p,w@h:1/base?ssl_mode=required");
        assert_eq!(Url::parse("mysql://localhost/?unix_socket=/a,b").unwrap().nodes.len(), 1);
        assert_eq!(Url::parse("mysql://db1").unwrap().at("h:1"), "mysql://h:1");
        for wrong in
            ["postgres://h/d", "mysql://a,/b", "mysql://a,b/d?unix_socket=/s", "mysql://a,b/d?ssl_mode=verify_identity"]
        {
            assert!(Url::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_first_of_the_best_nodes_is_preferred() {
        let chosen = |standings: &[Standing]| {
            let node = |(number, standing): (usize, &Standing)| {
                let seen = Mutex::new((*standing, Instant::now()));
                Arc::new(Node { number, address: String::new(), seen, cut: watch::Sender::default() })
            };
            preferred(&(1..).zip(standings).map(node).collect::<Vec<_>>()).map(|node| node.number)
        };
        use Standing::{Away, Busy, Well};
        assert_eq!(chosen(&[Well, Well]), Some(1));
        assert_eq!(chosen(&[Away, Busy, Well, Well]), Some(3));
        assert_eq!(chosen(&[Away, Busy, Away]), Some(2));
        assert_eq!(chosen(&[Away, Away]), None);
    }
}
