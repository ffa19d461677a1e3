//! Imports over HTTP: sending a file, following its import, and downloading the report.

mod upload;

use std::collections::BTreeMap;

use actix_multipart::Multipart;
use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use futures_util::stream;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

pub use self::upload::UploadLimit;
use super::model::{Import, ImportError, ImportKind, ImportStatus, REPORT_DAYS, ReportedFault};
use super::store;
use crate::Id;
use crate::assessments::worker::Workers;
use crate::csv_rows::Counts;
use crate::db::{self, Db};
use crate::http::etag;
use crate::http::extract::{self, Parameters, PathId};
use crate::http::list::{Listed, Page};
use crate::http::paging::{self, PageParameters};
use crate::http::problem::{Code, Problem, Problems};
use crate::http::streams::Streams;
use crate::identity::api::Permit;
use crate::identity::api::idempotency::{Begun, Key, apart};
use crate::identity::model::{ReadImports, WriteImports};

/// Mounts the handlers.
pub fn configure(config: &mut ServiceConfig) {
    config
        .service(create_import)
        .service(list_imports)
        .service(get_import)
        .service(follow_import)
        .service(get_import_report)
        .service(cancel_import);
}

/// How far an import is.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"bytes": 65536, "total_bytes": 131072, "rows": 1500}))]
pub struct ImportProgress {
    /// Bytes of the file read so far.
    bytes: u64,
    /// Size of the file in bytes.
    total_bytes: u64,
    /// Rows read so far.
    rows: u64,
}

/// The import of a file.
#[derive(Serialize, ToSchema)]
#[schema(as = Import)]
pub struct ImportView {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    id: Id,
    /// What the file holds.
    kind: ImportKind,
    /// Whether nothing is written: the counts say what would happen.
    dry_run: bool,
    /// How far it is.
    status: ImportStatus,
    /// Name of the file at its sender's.
    #[schema(max_length = 200, example = "customers.csv")]
    file_name: String,
    /// The file's encoding, unless its byte order mark says another one.
    #[schema(example = "gb18030")]
    encoding: &'static str,
    /// Column of the file by target, where its name is another one.
    mapping: BTreeMap<String, String>,
    /// Kind of all transactions, where the file has no column for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "order")]
    transaction_kind: Option<String>,
    /// The system that transactions come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "csv")]
    source: Option<String>,
    /// How far it is in the file.
    progress: ImportProgress,
    /// Rows read so far, by their fate.
    counts: Counts,
    /// The first faults and remarks, at most 20; 30 days after the end none. The report has them all.
    #[schema(max_items = 20)]
    faults: Vec<ReportedFault>,
    /// Why it has failed; absent where it hasn't.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<ImportError>,
    /// How often a process has begun it. Where this is more than 1, the one before was killed, and rows that it had written count as
    /// unchanged.
    attempts: u64,
    /// The user who sent it.
    #[schema(value_type = uuid::Uuid)]
    created_by: Id,
    /// When it was sent.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it ended; absent while it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = String, format = DateTime)]
    finished_at: Option<Timestamp>,
}

impl ImportView {
    fn new(import: Import) -> Self {
        Self {
            id: import.id,
            kind: import.kind,
            dry_run: import.dry_run,
            status: import.status,
            file_name: import.file_name,
            encoding: import.options.encoding.name(),
            mapping: import.options.mapping,
            transaction_kind: import.options.transaction_kind,
            source: import.options.source,
            progress: ImportProgress {
                bytes: import.done_bytes,
                total_bytes: import.total_bytes,
                rows: import.outcome.counts.read,
            },
            counts: import.outcome.counts,
            faults: import.outcome.faults,
            error: import.outcome.error,
            attempts: import.attempts,
            created_by: import.created_by,
            created_at: import.created_at,
            finished_at: import.finished_at,
        }
    }
}

/// Import a file
///
/// Takes a CSV file and imports it in the background; follow it at the address in `Location`. Imports are worked one after the other.
/// Good rows go in, each faulty one is reported, also one of what a row before it is known by; importing a file again changes nothing. The
/// parts may come in any order. Besides `imports:write` it needs the permission to write what the file holds: `customers:write`,
/// `products:write`, `transactions:write`, or for observations `observations:write` and `staff:evaluate`.
#[utoipa::path(tag = "imports", operation_id = "createImport", security(("bearer" = ["imports:write"])),
    request_body(content = upload::ImportForm, content_type = "multipart/form-data",
        encoding(("mapping" = (content_type = "application/json")))), responses(
    (status = 202, body = ImportView, description = "Received", headers(("Location" = String, description = "Address of the import"))),
    Problems
))]
#[post("/v1/imports")]
pub async fn create_import(
    permit: Permit<WriteImports>,
    db: web::Data<Db>,
    limit: web::Data<UploadLimit>,
    workers: web::Data<Workers>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, Problem> {
    extract::check_coding(&request, &["identity"])?;
    let multipart = Multipart::new(request.headers(), body);
    let principal = &permit.principal;
    let key = Key::of(&request, principal.user_id)?;
    let upload = upload::receive(&db, multipart, principal, *limit.get_ref()).await?;
    apart(async move {
        let owned = match key {
            None => None,
            Some(key) => match key.begin(&db, &upload.content).await? {
                Begun::First(owned) => Some(owned),
                Begun::Answered(response) => return Ok(response),
            },
        };
        let answered = upload.complete(&db).await.map(|import| {
            workers.wake();
            let location = (header::LOCATION, format!("/v1/imports/{}", import.id));
            HttpResponse::Accepted().insert_header(location).json(ImportView::new(import))
        });
        match (answered, owned) {
            (Ok(response), Some(owned)) => owned.keep(response).await,
            (Err(problem), Some(owned)) => {
                owned.give_back().await;
                Err(problem)
            }
            (answered, None) => answered,
        }
    })
    .await?
}

/// A page of imports.
#[derive(Serialize, ToSchema)]
pub struct ImportList {
    /// The imports, newest first.
    items: Vec<ImportView>,
    /// Cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

impl Page for ImportList {
    fn next_cursor(&self) -> Option<&str> {
        self.next_cursor.as_deref()
    }
}

/// List imports
///
/// Newest first.
#[utoipa::path(tag = "imports", operation_id = "listImports", security(("bearer" = ["imports:read"])), params(PageParameters), responses(
    (status = 200, body = ImportList, description = "A page"),
    Problems
))]
#[get("/v1/imports")]
pub async fn list_imports(
    _: Permit<ReadImports>,
    db: web::Data<Db>,
    parameters: Parameters,
) -> Result<Listed<ImportList>, Problem> {
    let (before, limit) = parameters.page::<Id>()?;
    let found = db.run(move |conn| store::page(conn, before, i64::from(limit) + 1)).await?;
    let (items, next_cursor) = paging::page(found, limit, |last| paging::cursor(&last.id));
    Ok(Listed(ImportList { items: items.into_iter().map(ImportView::new).collect(), next_cursor }))
}

/// Read an import
///
/// With its progress so far.
#[utoipa::path(tag = "imports", operation_id = "getImport", security(("bearer" = ["imports:read"])),
    params(("id" = uuid::Uuid, Path, description = "The import's id")), responses(
    (status = 200, body = ImportView, description = "The import", headers(("ETag" = String, description = "Its content's"))),
    Problems
))]
#[get("/v1/imports/{id}")]
pub async fn get_import(_: Permit<ReadImports>, db: web::Data<Db>, id: PathId) -> Result<HttpResponse, Problem> {
    etag::tagged(&ImportView::new(find(&db, id.0).await?))
}

async fn find(db: &Db, id: Id) -> Result<Import, Problem> {
    db.run(move |conn| store::find(conn, id)).await?.ok_or_else(|| Problem::new(Code::NotFound))
}

/// Follow an import
///
/// Server-sent events: an event `import` with the import at each change, at most two a second, until it has ended; a comment when nothing
/// has changed for 5 seconds. A stream ends with its access token, also when the user signs out, is disabled or may
/// follow it no more, and when the service stops: ask again. 429 where the user has 8 streams open, 503 where all have too many.
#[utoipa::path(tag = "imports", operation_id = "followImport", security(("bearer" = ["imports:read"])),
    params(("id" = uuid::Uuid, Path, description = "The import's id")), responses(
    (status = 200, body = String, content_type = "text/event-stream", description = "The events, each with an `Import` as JSON",
        example = "event: import\ndata: {\"id\": \"0193f0a2-7c1e-7aaa-8000-0123456789ab\", \"status\": \"running\", …}\n\n"),
    Problems
))]
#[get("/v1/imports/{id}/events")]
pub async fn follow_import(
    permit: Permit<ReadImports>,
    request: HttpRequest,
    db: web::Data<Db>,
    streams: web::Data<Streams>,
    id: PathId,
) -> Result<HttpResponse, Problem> {
    let id = find(&db, id.0).await?.id;
    streams.follow(permit.lasting(&request, &db)?, "import", move || {
        let db = db.clone();
        async move {
            let import = find(&db, id).await?;
            let has_ended = !import.status.is_open();
            Ok((ImportView::new(import), has_ended))
        }
    })
}

/// Download an import's report
///
/// A CSV file with a line for each fault of a row and each remark, in the order of the rows, of at most 32 MiB: where it ends before all are told, its last line says so.
/// It is there when the import has finished, and for 30 days. Cells that a spreadsheet would take for formulas begin with `'`.
#[utoipa::path(tag = "imports", operation_id = "getImportReport", security(("bearer" = ["imports:read"])),
    params(("id" = uuid::Uuid, Path, description = "The import's id")), responses(
    (status = 200, body = String, content_type = "text/csv", description = "The report",
        headers(("Content-Disposition" = String, description = "The name of the file")),
        example = "line,severity,column,code,detail\n"),
    Problems
))]
#[get("/v1/imports/{id}/report")]
pub async fn get_import_report(_: Permit<ReadImports>, db: web::Data<Db>, id: PathId) -> Result<HttpResponse, Problem> {
    let import = find(&db, id.0).await?;
    let first = report_part(&db, import.id, 0).await?.ok_or_else(|| {
        let when = format!("a report is there when an import has finished, and for {REPORT_DAYS} days");
        Problem::detailed(Code::NotFound, when)
    })?;
    let rest = stream::try_unfold((db, import.id, 1), |(db, id, part)| async move {
        let content = report_part(&db, id, part).await?;
        Ok::<_, actix_web::Error>(content.map(|content| (content, (db, id, part + 1))))
    });
    let name = format!("attachment; filename=\"import-{}.csv\"", import.id);
    Ok(HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8")
        .insert_header((header::CONTENT_DISPOSITION, name))
        .streaming(stream::StreamExt::chain(stream::iter([Ok(first)]), rest)))
}

async fn report_part(db: &Db, id: Id, part: u32) -> Result<Option<Bytes>, Problem> {
    Ok(db.run(move |conn| store::report_part(conn, id, part)).await?.map(Bytes::from))
}

/// Cancel an import
///
/// What it has written stays. 409 when it has ended.
#[utoipa::path(tag = "imports", operation_id = "cancelImport", security(("bearer" = ["imports:write"])),
    params(("id" = uuid::Uuid, Path, description = "The import's id")), responses(
    (status = 200, body = ImportView, description = "The import, cancelled"),
    Problems
))]
#[post("/v1/imports/{id}/cancellation")]
pub async fn cancel_import(
    _: Permit<WriteImports>,
    db: web::Data<Db>,
    id: PathId,
) -> Result<web::Json<ImportView>, Problem> {
    let id = id.0;
    let (cancelled, import) = db
        .run(move |conn| {
            let cancelled = store::cancel(conn, id)?;
            if cancelled {
                store::remove_file(conn, id)?;
            }
            Ok::<_, db::Error>((cancelled, store::find(conn, id)?))
        })
        .await?;
    match import {
        None => Err(Problem::new(Code::NotFound)),
        Some(_) if !cancelled => Err(Problem::detailed(Code::Conflict, "the import has ended")),
        Some(import) => Ok(web::Json(ImportView::new(import))),
    }
}
