//! The private database server: one `mariadbd` or `mysqld` of Baremo's own, with its data in a folder and a socket as
//! its only door. It outlives a killed Baremo, and the next one takes it over.

mod account;

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio, id};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use uuid::Uuid;

use self::account::Account;

/// How long a server may take until it answers, recovery after a crash included.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long a server may take to write down what it has and end.
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// How often is looked whether a server has come up or gone.
const POLL: Duration = Duration::from_millis(20);
/// Longest path of a socket, in bytes, that every system takes.
const SOCKET_PATH_LIMIT: usize = 100;
/// How much of the server's log an error tells, in lines.
const LOG_LINES: usize = 15;

/// Names the folder for temporary files. Never the common one: a server that starts there removes the temporary tables
/// of those that run.
const TEMPORARY: &str = "TMPDIR";

/// Where servers stand though an ordinary user's PATH doesn't lead there.
const MORE_FOLDERS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin"];

/// A server that is there as long as this value.
#[derive(Debug)]
pub struct LocalServer {
    folder: PathBuf,
    socket: PathBuf,
    process: Process,
    /// Held until the server has gone, so that no second Baremo meddles with it. None for another Baremo's server.
    lock: Option<File>,
}

/// Why there is no private server.
#[derive(Debug, thiserror::Error)]
pub enum LocalServerError {
    /// No server, or not all of it, is on this machine.
    #[error(
        "no private database can be started: `{0}` is not on this machine. Install the Debian packages \
         mariadb-server-core and mariadb-client-core, or set BAREMO_DATABASE_URL to use a server of your own"
    )]
    Missing(&'static str),
    /// Another Baremo works with the same folder.
    #[error("{folder} is in use by another Baremo{by}: stop it first, or serve another pack")]
    InUse {
        /// The folder of the private database.
        folder: PathBuf,
        /// " (process 123)", where that is known.
        by: String,
    },
    /// No place for the socket that is short enough.
    #[error(
        "the private database's socket would be {0}: its path may have 100 characters; set TMPDIR to a shorter folder"
    )]
    SocketPath(PathBuf),
    /// The folder for the data couldn't be filled.
    #[error("the private database in {folder} couldn't be set up; the end of what {program} said:\n{output}")]
    Setup {
        /// The folder of the private database.
        folder: PathBuf,
        /// Which program was to set it up.
        program: PathBuf,
        /// The end of its output.
        output: String,
    },
    /// The server ended or didn't answer in time.
    #[error("the private database in {folder} didn't start: {why}; the end of its log:\n{log}")]
    Start {
        /// The folder of the private database.
        folder: PathBuf,
        /// What happened instead.
        why: String,
        /// The end of the server's log.
        log: String,
    },
    /// The server still runs though it was told to stop.
    #[error("the private database (process {0}) was told to stop and still runs after 30 seconds")]
    Stop(i32),
    /// A file or a process of the server couldn't be worked with.
    #[error("{doing}: {source}")]
    Io {
        /// What was tried, with the path.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
}

/// The server's process: started by this Baremo, or left over by one that was killed.
#[derive(Debug)]
enum Process {
    Child(Child),
    Adopted {
        pid: i32,
        folder: PathBuf,
    },
    /// Nothing to stop: it has ended, or is another Baremo's.
    Gone,
}

/// What is on this machine to make and run a database with.
struct Programs {
    server: PathBuf,
    /// Fills a new data folder; MySQL's server does that itself.
    install: Option<PathBuf>,
}

impl LocalServer {
    /// Gives the server whose data is in `folder`, which is made and filled when there is nothing yet. A server that a
    /// killed Baremo left behind is taken over. Comes back when the server answers, within a minute.
    pub fn start(folder: &Path) -> Result<Self, LocalServerError> {
        fs::create_dir_all(folder).map_err(failed("making the folder", folder))?;
        // The server asks for no password: whoever reaches its socket is in.
        fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(failed("closing the folder", folder))?;
        let folder = folder.canonicalize().map_err(failed("finding the folder", folder))?;
        let lock = lock(&folder)?;

        if let Some((process, socket)) = adopt(&folder)? {
            tracing::info!(folder = %folder.display(), "took over the private database that was still running");
            return Ok(Self { folder, socket, process, lock: Some(lock) });
        }
        let mut server = Self { folder, socket: PathBuf::new(), process: Process::Gone, lock: Some(lock) };
        server.launch()?;
        tracing::info!(folder = %server.folder.display(), "started the private database");
        Ok(server)
    }

    /// Whether a server has ever worked in a folder.
    pub fn is_filled(folder: &Path) -> bool {
        folder.join("data").is_dir()
    }

    /// Starts the server again, at the same socket, if it has ended by itself. Gives whether it had. Another Baremo's server is
    /// that one's to look after.
    pub fn revive(&mut self) -> Result<bool, LocalServerError> {
        let ours = self.lock.is_some();
        if !ours || self.process.runs().map_err(failed("watching the server in", &self.folder))? {
            return Ok(false);
        }
        self.launch()?;
        Ok(true)
    }

    fn launch(&mut self) -> Result<(), LocalServerError> {
        let folder = &self.folder;
        let programs = Programs::find()?;
        let account = Account::for_server(folder).map_err(failed("giving the server's account the folder", folder))?;
        let temporary = folder.join("tmp");
        fs::create_dir_all(&temporary).map_err(failed("making the folder", &temporary))?;
        give(&temporary, account.as_ref())?;
        set_up(folder, &programs, account.as_ref())?;
        if self.socket.as_os_str().is_empty() {
            self.socket = socket_path(folder, account.as_ref())?;
        }
        self.process = Process::Child(spawn(folder, &self.socket, &programs, account.as_ref())?);
        self.wait_until_ready()
    }

    /// As [`Self::start`], but where another Baremo has the folder already its server is used, and left running at the end.
    pub fn join(folder: &Path) -> Result<Self, LocalServerError> {
        let in_use = match Self::start(folder) {
            Err(error @ LocalServerError::InUse { .. }) => error,
            result => return result,
        };
        let folder = folder.canonicalize().map_err(failed("finding the folder", folder))?;
        let (_, socket) = adopt(&folder)?.ok_or(in_use)?;
        tracing::info!(folder = %folder.display(), "using the private database of the Baremo that is running");
        Ok(Self { folder, socket, process: Process::Gone, lock: None })
    }

    /// URL of a database of this server, for Diesel; of none when `database` is empty. A database's name is letters,
    /// digits and `_`.
    pub fn url(&self, database: &str) -> String {
        format!("mysql://root@localhost/{database}?unix_socket={}", percent_encoded(&self.socket))
    }

    /// Stops the server, unless it is another Baremo's, and waits until it has gone.
    pub fn stop(mut self) -> Result<(), LocalServerError> {
        self.end()
    }

    fn wait_until_ready(&mut self) -> Result<(), LocalServerError> {
        let start = Instant::now();
        while !answers(&self.socket) {
            let why = if !self.process.runs().map_err(failed("watching the server in", &self.folder))? {
                "it ended at once".to_owned()
            } else if start.elapsed() > START_LIMIT {
                format!("it gave no answer within {} seconds", START_LIMIT.as_secs())
            } else {
                thread::sleep(POLL);
                continue;
            };
            return Err(LocalServerError::Start { log: log_tail(&self.folder), folder: self.folder.clone(), why });
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), LocalServerError> {
        let Some(pid) = self.process.pid() else { return Ok(()) };
        match kill(Pid::from_raw(pid), Signal::SIGTERM) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => return Err(failed("stopping the server in", &self.folder)(errno.into())),
        }
        let start = Instant::now();
        while self.process.runs().map_err(failed("watching the server in", &self.folder))? {
            if start.elapsed() > STOP_LIMIT {
                return Err(LocalServerError::Stop(pid));
            }
            thread::sleep(POLL);
        }
        self.process = Process::Gone;
        if let Some(parent) = self.socket.parent().filter(|parent| *parent != self.folder) {
            // The socket's own folder among the temporary ones. Only when it is empty, and nothing is lost if it stays.
            let _ = fs::remove_dir(parent);
        }
        Ok(())
    }
}

impl Drop for LocalServer {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::error!(%error, "the private database was left running");
        }
    }
}

impl Process {
    fn pid(&self) -> Option<i32> {
        match self {
            Self::Child(child) => i32::try_from(child.id()).ok(),
            Self::Adopted { pid, .. } => Some(*pid),
            Self::Gone => None,
        }
    }

    fn runs(&mut self) -> io::Result<bool> {
        match self {
            Self::Child(child) => Ok(child.try_wait()?.is_none()),
            Self::Adopted { pid, folder } => Ok(server_arguments(*pid, folder).is_some()),
            Self::Gone => Ok(false),
        }
    }
}

impl Programs {
    fn find() -> Result<Self, LocalServerError> {
        if let Some(server) = find_program("mariadbd") {
            let install = find_program("mariadb-install-db").ok_or(LocalServerError::Missing("mariadb-install-db"))?;
            return Ok(Self { server, install: Some(install) });
        }
        let server = find_program("mysqld").ok_or(LocalServerError::Missing("mariadbd"))?;
        Ok(Self { server, install: None })
    }
}

fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(MORE_FOLDERS.map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0))
}

/// Takes the folder for this process; the system gives it back when the process ends, however it ends.
fn lock(folder: &Path) -> Result<File, LocalServerError> {
    let path = folder.join("lock");
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = opened.map_err(failed("opening", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => {
            let mut owner = String::new();
            let known = file.read_to_string(&mut owner).is_ok() && !owner.trim().is_empty();
            let by = if known { format!(" (process {})", owner.trim()) } else { String::new() };
            return Err(LocalServerError::InUse { folder: folder.to_owned(), by });
        }
        Err(fs::TryLockError::Error(error)) => return Err(failed("locking", &path)(error)),
    }
    let written = file.set_len(0).and_then(|()| writeln!(file, "{}", id()));
    written.map_err(failed("writing", &path))?;
    Ok(file)
}

/// The server that a killed Baremo left on this folder, once it answers; none if it goes away, as it does when it was
/// already stopping.
fn adopt(folder: &Path) -> Result<Option<(Process, PathBuf)>, LocalServerError> {
    let Some((pid, socket)) = left_over(folder) else { return Ok(None) };
    let mut process = Process::Adopted { pid, folder: folder.to_owned() };
    let start = Instant::now();
    while !answers(&socket) {
        if !process.runs().map_err(failed("watching the server in", folder))? {
            return Ok(None);
        }
        if start.elapsed() > START_LIMIT {
            let why = format!("an older server (process {pid}) is still there and gives no answer");
            return Err(LocalServerError::Start { folder: folder.to_owned(), why, log: log_tail(folder) });
        }
        thread::sleep(POLL);
    }
    Ok(Some((process, socket)))
}

/// Looks through the processes rather than at a pid file: a server writes that late, a killed one leaves it behind, and
/// its number may be another process's by now.
fn left_over(folder: &Path) -> Option<(i32, PathBuf)> {
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let socket = server_arguments(pid, folder)?.into_iter().find_map(|argument| {
            let bytes = argument.as_bytes().strip_prefix(b"--socket=")?;
            Some(PathBuf::from(OsStr::from_bytes(bytes)))
        })?;
        Some((pid, socket))
    })
}

/// The arguments of the process, if it is a server on the data in `folder`.
fn server_arguments(pid: i32, folder: &Path) -> Option<Vec<OsString>> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let arguments: Vec<_> = line.split(|byte| *byte == 0).map(|part| OsStr::from_bytes(part).to_owned()).collect();
    arguments.contains(&option("--datadir=", &folder.join("data"))).then_some(arguments)
}

/// Fills the data folder under another name first, so that one which is there is whole.
fn set_up(folder: &Path, programs: &Programs, account: Option<&Account>) -> Result<(), LocalServerError> {
    let data = folder.join("data");
    if data.exists() {
        return Ok(());
    }
    for left in fs::read_dir(folder).map_err(failed("reading", folder))?.flatten() {
        if left.file_name().as_bytes().starts_with(b"new-") {
            // A setup that outlived its Baremo may still write there: what can't be removed now is removed next time.
            let _ = fs::remove_dir_all(left.path());
        }
    }
    let unfinished = folder.join(format!("new-{}", Uuid::now_v7().simple()));
    let program = programs.install.as_ref().unwrap_or(&programs.server);
    let mut command = Command::new(program);
    command.arg("--no-defaults").arg(option("--datadir=", &unfinished));
    match programs.install {
        Some(_) => command.args(["--auth-root-authentication-method=normal", "--skip-test-db"]),
        None => command.arg("--initialize-insecure"),
    };
    if let Some(account) = account {
        command.arg(format!("--user={}", account.name));
    }
    tracing::info!(folder = %folder.display(), "setting up the private database");
    command.env(TEMPORARY, folder.join("tmp"));
    let output = command.stdin(Stdio::null()).process_group(0).output().map_err(failed("running", program))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        let output = last_lines(&String::from_utf8_lossy(&said));
        return Err(LocalServerError::Setup { folder: folder.to_owned(), program: program.clone(), output });
    }
    fs::rename(&unfinished, &data).map_err(failed("putting in place", &data))
}

/// Gives a file or folder to the server's account.
fn give(path: &Path, account: Option<&Account>) -> Result<(), LocalServerError> {
    let Some(account) = account else { return Ok(()) };
    chown(path, Some(account.uid), Some(account.gid)).map_err(failed("giving away", path))
}

/// In the folder itself, or where its path is too long in a new one among the temporary folders.
fn socket_path(folder: &Path, account: Option<&Account>) -> Result<PathBuf, LocalServerError> {
    let fits = |path: &Path| path.as_os_str().len() <= SOCKET_PATH_LIMIT && path.to_str().is_some();
    let near = folder.join("sock");
    if fits(&near) {
        return Ok(near);
    }
    let other = std::env::temp_dir().join(format!("baremo-{}", Uuid::now_v7().simple()));
    let far = other.join("sock");
    if !fits(&far) {
        return Err(LocalServerError::SocketPath(far));
    }
    DirBuilder::new().mode(0o700).create(&other).map_err(failed("making the folder", &other))?;
    give(&other, account)?;
    Ok(far)
}

fn spawn(
    folder: &Path,
    socket: &Path,
    programs: &Programs,
    account: Option<&Account>,
) -> Result<Child, LocalServerError> {
    let log = log_path(folder);
    // Opened here too, for what the server says before it has read where its log is.
    let output = OpenOptions::new().append(true).create(true).open(&log).map_err(failed("opening", &log))?;
    let errors = output.try_clone().map_err(failed("opening", &log))?;
    let mut command = Command::new(&programs.server);
    command
        .arg("--no-defaults")
        .arg(option("--datadir=", &folder.join("data")))
        .arg(option("--socket=", socket))
        .arg(option("--pid-file=", &folder.join("pid")))
        .arg(option("--log-error=", &log))
        .args(["--skip-networking", "--loose-mysqlx=OFF", "--skip-log-bin", "--local-infile=OFF"])
        .args(["--character-set-server=utf8mb4", "--collation-server=utf8mb4_bin"])
        .args(["--innodb-buffer-pool-size=512M", "--loose-innodb-log-file-size=256M"])
        .args(["--innodb-flush-log-at-trx-commit=1", "--max-allowed-packet=64M", "--performance-schema=OFF"]);
    give(&log, account)?;
    if let Some(account) = account {
        command.arg(format!("--user={}", account.name));
    }
    // A group of its own: Ctrl-C on the terminal reaches Baremo, which ends its work before it stops the server.
    command.env(TEMPORARY, folder.join("tmp")).stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0);
    command.spawn().map_err(failed("running", &programs.server))
}

/// Whether a server on the socket greets: a server that is starting or stopping doesn't.
fn answers(socket: &Path) -> bool {
    // Four bytes of header, then the version of the protocol; an error would begin with 255.
    let mut greeting = [0; 5];
    let greets = UnixStream::connect(socket).and_then(|mut stream| {
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.read_exact(&mut greeting)
    });
    greets.is_ok() && greeting.last() == Some(&10)
}

fn log_path(folder: &Path) -> PathBuf {
    folder.join("error.log")
}

fn log_tail(folder: &Path) -> String {
    let log = fs::read(log_path(folder)).unwrap_or_default();
    last_lines(&String::from_utf8_lossy(&log))
}

fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines.get(lines.len().saturating_sub(LOG_LINES)..).unwrap_or_default().join("\n")
}

fn option(name: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(name);
    argument.push(path);
    argument
}

fn percent_encoded(path: &Path) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    path.as_os_str()
        .as_bytes()
        .iter()
        .map(|&byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn failed(doing: &str, path: &Path) -> impl FnOnce(io::Error) -> LocalServerError {
    let doing = format!("{doing} {}", path.display());
    move |source| LocalServerError::Io { doing, source }
}
