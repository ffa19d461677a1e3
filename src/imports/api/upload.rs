//! Receiving a file: the parts of the form in any order, and the file itself, which goes to the database as it comes. Nothing remains of
//! one that breaks off or whose form is refused.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::HttpResponse;
use futures_util::{Stream, TryStreamExt};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::Id;
use crate::csv_rows::Encoding;
use crate::db::{self, Db, transaction};
use crate::faults::{Fault, did_you_mean, excerpt, pointer_segment};
use crate::http::problem::{Code, Problem};
use crate::identity::api::idempotency::{Begun, Key, Owned};
use crate::identity::model::{EvaluateStaff, Permission, Principal};
use crate::imports::model::{Import, ImportKind, NewImport, Options, Terms, shown_name};
use crate::imports::store::{self, PART};
use crate::schemas::ColumnMapping;

/// Longest text of a part besides the file, in bytes.
const MAX_TEXT: usize = 64 << 10;
/// Longest time until more of a body comes.
const PAUSE: Duration = Duration::from_secs(30);
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
}

/// The parts of the form that sends a file, in any order.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the form, which is read part by part")]
pub struct ImportForm {
    // A description of its own would make it a part of two, which generators of clients don't send as a text.
    #[schema(inline)]
    kind: ImportKind,
    /// A JSON object: column of the file by target, where its name is another one.
    #[schema(nullable = false, value_type = Option<ColumnMapping>)]
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

/// What became of a form.
pub enum Received {
    /// An import that waits, with the idempotency key under which its answer is to be kept.
    New(Box<Import>, Option<Owned>),
    /// It came before, and was answered so.
    Answered(HttpResponse),
}

/// Receives a form with its file and leaves an import that waits.
pub async fn receive(
    db: &Db,
    mut multipart: Multipart,
    principal: &Principal,
    limit: UploadLimit,
    key: Option<Key>,
) -> Result<Received, Problem> {
    match take(db, &mut multipart, principal, limit, key).await {
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
    key: Option<Key>,
) -> Result<Received, Refusal> {
    let mut form = Form::default();
    let mut digest = [0; 32];
    let mut unfinished = Unfinished { db: db.clone(), id: None };
    while let Some(mut field) = next(multipart).await? {
        if unfinished.id.is_some() || field.name() != Some(FILE) {
            form.add(&mut field).await?;
            continue;
        }
        let name = field.content_disposition().and_then(|disposition| disposition.get_filename()).unwrap_or_default();
        let new = NewImport { id: Id::new(), file_name: shown_name(name), created_by: principal.user_id };
        let id = new.id;
        db.run(move |conn| store::begin(conn, &new)).await?;
        unfinished.id = Some(id);
        match store_file(db, id, &mut field, limit).await? {
            Some(found) => digest = found,
            None => form.faults.push(Fault::new("/file", "empty", "the file is empty")),
        }
    }
    let (id, terms) = form.read(unfinished.id).map_err(Problem::invalid)?;
    if terms.kind == ImportKind::Observations && !principal.permissions.has(EvaluateStaff::NAME) {
        let said = "a file of observations may have some of staff: those import it who may evaluate staff";
        return Err(Problem::detailed(Code::Forbidden, said).into());
    }
    let owned = match key {
        None => None,
        Some(key) => match key.begin(db, &content(&form.texts, &digest)).await? {
            Begun::First(owned) => Some(owned),
            Begun::Answered(response) => return Ok(Received::Answered(response)),
        },
    };
    let completed =
        db.run(move |conn| Ok::<_, db::Error>((store::complete(conn, id, &terms)?, store::find(conn, id)?))).await?;
    unfinished.id = None;
    match completed {
        (true, Some(import)) => Ok(Received::New(Box::new(import), owned)),
        _ => {
            if let Some(owned) = owned {
                owned.give_back().await;
            }
            Err(too_slow().into())
        }
    }
}

/// What a form says, as one that is sent again says it too.
fn content(texts: &BTreeMap<String, String>, file: &[u8]) -> Vec<u8> {
    let texts = texts.iter().flat_map(|(name, text)| [name.as_bytes(), text.as_bytes()]);
    texts.chain([file]).flat_map(|part| [&part.len().to_be_bytes(), part].concat()).collect()
}

/// A file that is being received. Dropped, it is removed: also when the client goes away, which drops the handler where it waits.
struct Unfinished {
    db: Db,
    id: Option<Id>,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(id) = self.id {
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
    /// Adds a part; a file is a second one.
    async fn add(&mut self, field: &mut Field) -> Result<(), Refusal> {
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
    fn read(&mut self, file: Option<Id>) -> Result<(Id, Terms), Vec<Fault>> {
        if file.is_none() {
            self.faults.push(Fault::new("/file", "required", "'file' is required"));
        }
        match file.filter(|_| self.faults.is_empty()) {
            Some(id) => Ok((id, terms(&self.texts)?)),
            None => Err(std::mem::take(&mut self.faults)),
        }
    }
}

/// The text of a part; nothing where it is too long or not UTF-8.
async fn text(field: &mut Field) -> Result<Option<String>, Refusal> {
    let mut text = Vec::new();
    while let Some(bytes) = next(field).await? {
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
    let mut refuse = |part: &str, code: &str, detail: String| faults.push(Fault::new(format!("/{part}"), code, detail));
    let text = |part: &str| texts.get(part).map(|text| text.trim()).filter(|text| !text.is_empty());
    let kinds = ImportKind::ALL.map(ImportKind::key);
    let kind = text("kind").and_then(ImportKind::from_key);
    match (text("kind"), kind) {
        (None, _) => refuse("kind", "required", "'kind' is required".to_owned()),
        (Some(text), None) => {
            let hint = did_you_mean(text, kinds);
            let detail = format!("'{}' is not one of {}{hint}", excerpt(text), kinds.join(", "));
            refuse("kind", "unknown_choice", detail);
        }
        _ => {}
    }
    let mapping = mapping(text("mapping").unwrap_or("{}"));
    let mapping = mapping.map_err(|detail| refuse("mapping", "wrong_type", detail)).unwrap_or_default();
    let dry_run = match text("dry_run") {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => {
            refuse("dry_run", "wrong_type", format!("'{}' is neither true nor false", excerpt(other)));
            false
        }
    };
    let encoding = text("encoding").unwrap_or("utf-8").parse::<Encoding>();
    let encoding = encoding.map_err(|detail| refuse("encoding", "unknown_choice", detail)).unwrap_or_default();
    let of_imports = [
        ("transaction_kind", &[ImportKind::Transactions][..], "transactions"),
        ("source", &[ImportKind::Transactions, ImportKind::Observations], "transactions and observations"),
    ];
    for (part, kinds, whose) in of_imports {
        if kind.is_some_and(|kind| !kinds.contains(&kind)) && text(part).is_some() {
            refuse(part, "not_allowed", format!("'{part}' is of imports of {whose}"));
        }
    }
    let [transaction_kind, source] = ["transaction_kind", "source"].map(|part| text(part).map(str::to_owned));
    let options = Options { mapping, encoding, transaction_kind, source };
    kind.filter(|_| faults.is_empty()).map(|kind| Terms { kind, dry_run, options }).ok_or(faults)
}

fn mapping(text: &str) -> Result<BTreeMap<String, String>, String> {
    let wanted = "a JSON object of texts, target by column, such as {\"code\": \"shop_no\"}";
    let json: Json =
        serde_json::from_str(text).map_err(|error| format!("this is not JSON ({error}); send {wanted}"))?;
    serde_json::from_value(json).map_err(|_| format!("send {wanted}"))
}

/// Takes the file into the database, part by part, and gives its digest; nothing for an empty file.
async fn store_file(
    db: &Db,
    id: Id,
    file: &mut Field,
    UploadLimit(limit): UploadLimit,
) -> Result<Option<[u8; 32]>, Refusal> {
    let mut digest = Sha256::new();
    let (mut size, mut number, mut part) = (0, 0, Vec::with_capacity(PART));
    loop {
        let bytes = next(file).await?;
        let is_last = bytes.is_none();
        let bytes = bytes.unwrap_or_default();
        size += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if size > limit {
            let detail = format!("a file may have at most {} MiB (BAREMO_UPLOAD_MEGABYTES)", limit >> 20);
            return Err(Problem::detailed(Code::TooLarge, detail).into());
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
    Problem::detailed(Code::BadRequest, "the body came too slowly")
}
