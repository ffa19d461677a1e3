//! Receiving a file: the parts of the form in any order, and the file itself, which goes to the database as it comes. Nothing remains of
//! one that breaks off or whose form is refused.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use actix_multipart::{Field, Multipart, MultipartError};
use futures_util::{Stream, TryStreamExt};
use sha2::{Digest, Sha256};
use tokio::time::timeout;
use utoipa::{PartialSchema, ToSchema};

use crate::Id;
use crate::csv_rows::{self, Encoding, MAX_MAPPED, MAX_NAME};
use crate::db::{self, Db, transaction};
use crate::faults::{Fault, did_you_mean, enough, excerpt, pointer_segment};
use crate::http::json;
use crate::http::problem::{Code, Problem};
use crate::identity::model::{
    EvaluateStaff, Permission, Permissions, Principal, WriteCustomers, WriteObservations, WriteProducts,
    WriteTransactions,
};
use crate::imports::model::{Import, ImportKind, NewImport, Options, Terms, shown_name};
use crate::imports::store::{self, PART};
use crate::schemas::ColumnMapping;

/// Longest text of a part besides the file, in bytes.
const MAX_TEXT: usize = 64 << 10;
/// Longest time until more of a body comes, and for a whole text.
const PAUSE: Duration = Duration::from_secs(30);
/// Bytes a second at which a file of the largest size must come, after a first minute.
const RATE: u64 = 64 << 10;
/// Longest time for which the rest of a body is read that was refused, so that its sender sees why.
const REST: Duration = Duration::from_secs(10);
/// The parts of the form.
const PARTS: [&str; 7] = ["kind", "mapping", "dry_run", "encoding", "transaction_kind", "source", FILE];
const FILE: &str = "file";

/// Largest file that is taken, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct UploadLimit(u64);

impl UploadLimit {
    /// Of a number of megabytes of 1,048,576 bytes.
    pub fn megabytes(megabytes: u32) -> Self {
        Self(u64::from(megabytes) << 20)
    }

    /// Longest time for a file.
    fn time(self) -> Duration {
        Duration::from_secs(60 + self.0 / RATE)
    }
}

/// The parts of the form that sends a file, in any order.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the form, which is read part by part")]
pub struct ImportForm {
    // A description of its own would make it a part of two, which generators of clients don't send as a text.
    #[schema(inline)]
    kind: ImportKind,
    #[schema(required = false, schema_with = ColumnMapping::schema)]
    mapping: Option<BTreeMap<String, String>>,
    /// Whether to say what would happen, and write nothing; `false` when absent.
    #[schema(nullable = false)]
    dry_run: Option<bool>,
    /// In which encoding the file is, as a label of the Encoding Standard; `utf-8` when absent. A byte order mark wins.
    #[schema(nullable = false, max_length = 40, example = "gb18030")]
    encoding: Option<String>,
    /// Of transactions: the kind of all rows, where the file has no column `kind`.
    #[schema(nullable = false, max_length = 64, example = "order")]
    transaction_kind: Option<String>,
    /// Of transactions: the system that the rows come from; `csv` when absent. Rows are known by source, order and product.
    #[schema(nullable = false, max_length = 64, example = "shop")]
    source: Option<String>,
    /// The CSV file: separated by comma, semicolon or tab, with a header.
    #[schema(value_type = String, format = Binary, example = "code,name\nX17,Ana\n")]
    file: Vec<u8>,
}

/// A form that was received whole, with its file in the database. Dropped, the file is removed.
pub struct Upload {
    file: Unfinished,
    terms: Terms,
    /// What the form says, as one that is sent again says it too.
    pub content: Vec<u8>,
}

impl Upload {
    /// Leaves an import that waits.
    pub async fn complete(mut self, db: &Db) -> Result<Import, Problem> {
        let (id, terms) = (self.file.id, self.terms);
        let complete = move |conn: &mut db::Conn| {
            if store::complete(conn, id, &terms)? { store::find(conn, id) } else { Ok(None) }
        };
        let import = db.run(complete).await?.ok_or_else(too_slow)?;
        self.file.finished = true;
        Ok(import)
    }
}

/// Receives a form with its file.
pub async fn receive(
    db: &Db,
    mut multipart: Multipart,
    principal: &Principal,
    limit: UploadLimit,
) -> Result<Upload, Problem> {
    match take(db, &mut multipart, principal, limit).await {
        Ok(received) => Ok(received),
        Err(Refusal::OfForm(problem)) => Err(problem),
        Err(Refusal::OfContent(problem)) => {
            // An answer that comes before the end of the request would be lost together with the connection.
            let _ = timeout(REST, async { while let Ok(Some(_)) = multipart.try_next().await {} }).await;
            Err(problem)
        }
    }
}

/// Why a form isn't taken.
enum Refusal {
    /// It is no whole form: nothing more can be read.
    OfForm(Problem),
    /// For what it says.
    OfContent(Problem),
}

impl<E: Into<Problem>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::OfContent(error.into())
    }
}

async fn take(
    db: &Db,
    multipart: &mut Multipart,
    principal: &Principal,
    limit: UploadLimit,
) -> Result<Upload, Refusal> {
    let mut form = Form::default();
    let mut received = None;
    while let Some(mut field) = next(multipart).await? {
        if received.is_some() || field.name() != Some(FILE) {
            form.add(&mut field).await?;
            continue;
        }
        let name = field.content_disposition().and_then(|disposition| disposition.get_filename()).unwrap_or_default();
        let new = NewImport { id: Id::new(), file_name: shown_name(name), created_by: principal.user_id };
        let file = Unfinished { db: db.clone(), id: new.id, finished: false };
        db.run(move |conn| store::begin(conn, &new)).await?;
        let digest = store_file(db, file.id, &mut field, limit).await?;
        if digest.is_none() {
            form.faults.push(Fault::new("/file", "empty", "the file is empty"));
        }
        received = Some((file, digest.unwrap_or_default()));
    }
    let ((file, digest), terms) = form.read(received).map_err(Problem::invalid)?;
    check_permissions(&principal.permissions, terms.kind)?;
    Ok(Upload { file, terms, content: content(&form.texts, &digest) })
}

/// Refuses a file of what its sender may not write by other ways either.
fn check_permissions(permissions: &Permissions, kind: ImportKind) -> Result<(), Problem> {
    let needed: &[&str] = match kind {
        ImportKind::Customers => &[WriteCustomers::NAME],
        ImportKind::Products => &[WriteProducts::NAME],
        ImportKind::Transactions => &[WriteTransactions::NAME],
        // Some of them may be of staff.
        ImportKind::Observations => &[WriteObservations::NAME, EvaluateStaff::NAME],
    };
    match needed.iter().find(|name| !permissions.has(name)) {
        None => Ok(()),
        Some(name) => {
            let detail = format!("a file of {} is imported by those who have the permission {name} too", kind.key());
            Err(Problem::detailed(Code::Forbidden, detail))
        }
    }
}

/// What a form says, as one that is sent again says it too.
fn content(texts: &BTreeMap<String, String>, file: &[u8]) -> Vec<u8> {
    let texts = texts.iter().flat_map(|(name, text)| [name.as_bytes(), text.as_bytes()]);
    texts.chain([file]).flat_map(|part| [&part.len().to_be_bytes(), part].concat()).collect()
}

/// A file that is being received. Dropped unfinished, it is removed: also when the client goes away, which drops the handler where it waits.
struct Unfinished {
    db: Db,
    id: Id,
    finished: bool,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.finished {
            let id = self.id;
            self.db.run_apart(move |conn| store::discard(conn, id));
        }
    }
}

/// The parts besides the file, and what is wrong with the form.
#[derive(Default)]
struct Form {
    texts: BTreeMap<String, String>,
    faults: Vec<Fault>,
}

impl Form {
    /// Adds a part; a file is a second one. Of a form that has too many faults no more is read.
    async fn add(&mut self, field: &mut Field) -> Result<(), Refusal> {
        if enough(&self.faults) {
            return Err(Problem::invalid(std::mem::take(&mut self.faults)).into());
        }
        let name = field.name().unwrap_or_default().to_owned();
        let mut refuse = |code, detail| self.faults.push(Fault::new(pointer_segment(&name), code, detail));
        if !PARTS.contains(&name.as_str()) {
            let hint = did_you_mean(&name, PARTS);
            refuse("unknown_field", format!("there is no part '{}'{hint}", excerpt(&name)));
        } else if name == FILE || self.texts.contains_key(&name) {
            refuse("doubled", format!("the part '{name}' stands twice"));
        } else if let Some(text) = text(field).await? {
            self.texts.insert(name, text);
        } else {
            refuse("too_long", format!("'{name}' is longer than {MAX_TEXT} bytes or no UTF-8"));
        }
        Ok(())
    }

    /// What the whole form says of the file that was received with it, or everything that is wrong.
    fn read<T>(&mut self, file: Option<T>) -> Result<(T, Terms), Vec<Fault>> {
        if file.is_none() {
            self.faults.push(Fault::new("/file", "required", "'file' is required"));
        }
        let terms = terms(&self.texts).map_err(|mut faults| {
            faults.retain(|fault| self.faults.iter().all(|told| told.pointer != fault.pointer));
            self.faults.append(&mut faults);
        });
        match file.zip(terms.ok()).filter(|_| self.faults.is_empty()) {
            Some(read) => Ok(read),
            None => Err(std::mem::take(&mut self.faults)),
        }
    }
}

/// The text of a part; nothing where it is too long or not UTF-8.
async fn text(field: &mut Field) -> Result<Option<String>, Refusal> {
    let (mut text, begun) = (Vec::new(), Instant::now());
    while let Some(bytes) = next(field).await? {
        if begun.elapsed() > PAUSE {
            return Err(Refusal::OfForm(too_slow()));
        }
        if text.len() + bytes.len() > MAX_TEXT {
            return Ok(None);
        }
        text.extend_from_slice(&bytes);
    }
    Ok(String::from_utf8(text).ok())
}

/// What the parts say, or everything that is wrong with them.
fn terms(texts: &BTreeMap<String, String>) -> Result<Terms, Vec<Fault>> {
    let mut faults = Vec::new();
    let at = |part: &str, code: &str, detail: String| Fault::new(format!("/{part}"), code, detail);
    let text = |part: &str| texts.get(part).map(|text| text.trim()).filter(|text| !text.is_empty());
    let kinds = ImportKind::ALL.map(ImportKind::key);
    let kind = text("kind").and_then(ImportKind::from_key);
    match (text("kind"), kind) {
        (None, _) => faults.push(at("kind", "required", "'kind' is required".to_owned())),
        (Some(text), None) => {
            let hint = did_you_mean(text, kinds);
            let detail = format!("'{}' is not one of {}{hint}", excerpt(text), kinds.join(", "));
            faults.push(at("kind", "unknown_choice", detail));
        }
        _ => {}
    }
    let mapping = mapping(text("mapping").unwrap_or("{}"));
    let mapping = mapping.map_err(|told| faults.extend(told)).unwrap_or_default();
    let dry_run = match text("dry_run") {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => {
            faults.push(at("dry_run", "wrong_type", format!("'{}' is neither true nor false", excerpt(other))));
            false
        }
    };
    let encoding = text("encoding").unwrap_or("utf-8").parse::<Encoding>();
    let encoding = encoding.map_err(|detail| faults.push(at("encoding", "unknown_choice", detail))).unwrap_or_default();
    let of_imports = [
        ("transaction_kind", &[ImportKind::Transactions][..], "transactions"),
        ("source", &[ImportKind::Transactions, ImportKind::Observations], "transactions and observations"),
    ];
    for (part, kinds, whose) in of_imports {
        if kind.is_some_and(|kind| !kinds.contains(&kind)) && text(part).is_some() {
            faults.push(at(part, "not_allowed", format!("'{part}' is of imports of {whose}")));
        }
    }
    let [transaction_kind, source] = ["transaction_kind", "source"].map(|part| text(part).map(str::to_owned));
    let options = Options { mapping, encoding, transaction_kind, source };
    kind.filter(|_| faults.is_empty()).map(|kind| Terms { kind, dry_run, options }).ok_or(faults)
}

/// Reads the part `mapping`.
fn mapping(sent: &str) -> Result<BTreeMap<String, String>, Vec<Fault>> {
    let read: BTreeMap<String, String> = json::part("mapping", sent)?;
    if read.len() > MAX_MAPPED {
        let detail = format!("{} targets are more than the {MAX_MAPPED} allowed", read.len());
        return Err(vec![Fault::new("/mapping", "out_of_range", detail)]);
    }
    let mut faults = Vec::new();
    for (target, column) in &read {
        let lengths = [target, column].map(|name| name.trim().chars().count());
        if lengths.iter().any(|length| !(1..=MAX_NAME).contains(length)) {
            let detail = format!("targets and columns have 1 to {MAX_NAME} characters");
            faults.push(Fault::new(format!("/mapping{}", pointer_segment(target)), "out_of_range", detail));
        }
    }
    let mapping = csv_rows::mapping(read).map_err(|target| {
        vec![Fault::new("/mapping", "doubled", format!("the target '{}' stands twice", excerpt(&target)))]
    })?;
    if faults.is_empty() { Ok(mapping) } else { Err(faults) }
}

/// Takes the file into the database, part by part, and gives its digest; nothing for an empty file.
async fn store_file(db: &Db, id: Id, file: &mut Field, limit: UploadLimit) -> Result<Option<[u8; 32]>, Refusal> {
    let (begun, UploadLimit(most)) = (Instant::now(), limit);
    let mut digest = Sha256::new();
    let (mut size, mut number, mut part) = (0, 0, Vec::with_capacity(PART));
    loop {
        let bytes = next(file).await?;
        let is_last = bytes.is_none();
        let bytes = bytes.unwrap_or_default();
        size += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if size > most {
            let detail = format!("a file may have at most {} MiB (BAREMO_UPLOAD_MEGABYTES)", most >> 20);
            return Err(Problem::detailed(Code::TooLarge, detail).into());
        }
        if begun.elapsed() > limit.time() {
            return Err(Refusal::OfForm(too_slow()));
        }
        digest.update(&bytes);
        part.extend_from_slice(&bytes);
        if part.len() >= PART || (is_last && !part.is_empty()) {
            let content = std::mem::replace(&mut part, Vec::with_capacity(PART));
            let add = move |conn: &mut db::Conn| transaction(conn, |conn| store::add_part(conn, id, number, &content));
            if !db.run(add).await? {
                return Err(too_slow().into());
            }
            number += 1;
        }
        if is_last {
            return Ok((size > 0).then(|| digest.finalize().into()));
        }
    }
}

/// The next of something that the client sends. A refusal when it breaks off or stalls.
async fn next<T>(source: &mut (impl Stream<Item = Result<T, MultipartError>> + Unpin)) -> Result<Option<T>, Refusal> {
    let came = timeout(PAUSE, source.try_next()).await.map_err(|_| Refusal::OfForm(too_slow()))?;
    came.map_err(|error| {
        Refusal::OfForm(match error {
            MultipartError::ContentTypeMissing
            | MultipartError::ContentTypeParse
            | MultipartError::ContentTypeIncompatible
            | MultipartError::BoundaryMissing => {
                Problem::detailed(Code::UnsupportedMediaType, "send multipart/form-data with a boundary")
            }
            MultipartError::Incomplete | MultipartError::Payload(_) => {
                Problem::detailed(Code::BadRequest, "the body broke off")
            }
            other => Problem::detailed(Code::BadRequest, format!("the body is no form: {other}")),
        })
    })
}

fn too_slow() -> Problem {
    Problem::detailed(Code::RequestTimeout, "the body came too slowly")
}
