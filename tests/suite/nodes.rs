//! A database of several nodes: connections go to the first that is well, and nobody waits for one that hangs.

use std::io;
use std::net::Ipv4Addr;
use std::thread;

use baremo::db::error::Error;
use baremo::db::{Db, nodes, ping};
use diesel::connection::SimpleConnection;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::base::Base;
use crate::process::{number, until};

/// What a node does.
#[derive(Clone, Copy)]
enum Way {
    Answers,
    Hangs,
    Refuses,
}

/// A node: a way to the one database that there is.
struct Node {
    port: u16,
    way: watch::Sender<Way>,
}

impl Node {
    fn new(threads: &Runtime, database: &str) -> Self {
        let listener = threads.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let port = listener.local_addr().unwrap().port();
        let way = watch::Sender::new(Way::Answers);
        let (follow, database) = (way.subscribe(), database.to_owned());
        threads.spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(carry(client, database.clone(), follow.clone()));
            }
        });
        Self { port, way }
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Connects to the server of a URL.
async fn connect(database: &str) -> io::Result<Box<dyn Stream>> {
    match database.split_once("unix_socket=") {
        Some((_, path)) => Ok(Box::new(UnixStream::connect(path).await?)),
        None => {
            let rest = database.rsplit('@').next().unwrap();
            Ok(Box::new(TcpStream::connect(rest.split('/').next().unwrap()).await?))
        }
    }
}

async fn carry(mut client: TcpStream, database: String, mut way: watch::Receiver<Way>) {
    let mut server = connect(&database).await.unwrap();
    loop {
        let now = *way.borrow_and_update();
        match now {
            Way::Answers => tokio::select! {
                _ = copy_bidirectional(&mut client, &mut server) => return,
                _ = way.changed() => {}
            },
            Way::Hangs => drop(way.changed().await),
            Way::Refuses => return,
        }
    }
}

#[test]
fn nobody_waits_for_a_node_that_hangs_and_any_node_will_do() {
    let base = Base::new();
    let threads = Runtime::new().unwrap();
    let url = base.url();
    let [first, second] = [Node::new(&threads, &url), Node::new(&threads, &url)];
    let (server, rest) = url.rsplit_once("/test_").unwrap();
    let name = rest.split('?').next().unwrap();
    let user = server.rsplit_once('@').unwrap().0;
    let both = format!("{user}@127.0.0.1:{},127.0.0.1:{}/test_{name}", first.port, second.port);
    let db = Db::new(&nodes::open(&both, threads.handle()).unwrap(), 4, threads.handle().clone());
    let is_well = || until("a node answers", || db.run_here(ping).ok());
    is_well();

    // Whoever waits for the first node when it hangs is let go, long before the statement would have ended.
    let statement = format!("SELECT SLEEP(50), '{name}'");
    let waiting = {
        let (db, statement) = (db.clone(), statement.clone());
        thread::spawn(move || db.run_here(|conn| Ok::<_, Error>(conn.batch_execute(&statement)?)))
    };
    let begun = format!(
        "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP(50)%{name}%' AND id <> CONNECTION_ID()"
    );
    until("the statement has begun", || number(&url, &begun).filter(|count| *count == 1));
    first.way.send_replace(Way::Hangs);
    let lost = waiting.join().unwrap();
    assert!(matches!(lost, Err(Error::Lost { committing: false, .. })), "{lost:?}");
    is_well();

    first.way.send_replace(Way::Answers);
    second.way.send_replace(Way::Refuses);
    is_well();
    first.way.send_replace(Way::Refuses);
    let away = until("no node is left", || db.run_here(ping).err());
    assert!(away.is_unavailable(), "{away}");
    second.way.send_replace(Way::Answers);
    is_well();
}
