//! Products over HTTP.

use actix_web::{get, put, web};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::db::{Db, transaction};
use crate::http::extract::{Body, Parameters};
use crate::http::list::{Listed, Page};
use crate::http::paging::{self, PageParameters};
use crate::http::problem::{Code, Problem, Problems};
use crate::identity::api::Permit;
use crate::identity::model::{ReadProducts, WriteProducts};
use crate::schemas::DecimalText;
use crate::transactions::products::{Product, ProductBody};
use crate::transactions::store;

/// Mounts the handlers.
pub fn configure(config: &mut ServiceConfig) {
    config.service(list_products).service(get_product).service(put_product);
}

/// A product with its code.
#[derive(Serialize, ToSchema)]
#[schema(as = Product, example = json!({"code": "P1", "name": "Box of twenty", "category": "standard", "unit": "box", "factor": "0.02"}))]
pub struct ProductView {
    /// Its code.
    code: String,
    /// Its name.
    name: String,
    /// The category that metrics can be limited to.
    category: String,
    /// The unit of the quantities that lines state.
    unit: String,
    /// How many of the pack's units one of them is.
    #[schema(value_type = DecimalText)]
    factor: String,
}

impl From<Product> for ProductView {
    fn from(product: Product) -> Self {
        let factor = product.factor.to_string();
        Self { code: product.code, name: product.name, category: product.category, unit: product.unit, factor }
    }
}

/// A page of products.
#[derive(Serialize, ToSchema)]
pub struct ProductList {
    /// The products, by code.
    items: Vec<ProductView>,
    /// Cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

impl Page for ProductList {
    fn next_cursor(&self) -> Option<&str> {
        self.next_cursor.as_deref()
    }
}

/// List products
///
/// By code.
#[utoipa::path(tag = "products", operation_id = "listProducts", security(("bearer" = ["products:read"])), params(PageParameters), responses(
    (status = 200, body = ProductList, description = "A page"),
    Problems
))]
#[get("/v1/products")]
pub async fn list_products(
    _: Permit<ReadProducts>,
    db: web::Data<Db>,
    parameters: Parameters,
) -> Result<Listed<ProductList>, Problem> {
    let (after, limit) = parameters.page::<String>()?;
    let found = db.run(move |conn| store::products_page(conn, after.as_deref(), i64::from(limit) + 1)).await?;
    let (items, next_cursor) = paging::page(found, limit, |last| paging::cursor(&last.code));
    Ok(Listed(ProductList { items: items.into_iter().map(ProductView::from).collect(), next_cursor }))
}

/// Read a product
///
/// By its code.
#[utoipa::path(tag = "products", operation_id = "getProduct", security(("bearer" = ["products:read"])),
    params(("code" = String, Path, description = "The product's code", min_length = 1, max_length = 64, example = "P1")), responses(
    (status = 200, body = ProductView, description = "The product"),
    Problems
))]
#[get("/v1/products/{code}")]
pub async fn get_product(
    _: Permit<ReadProducts>,
    db: web::Data<Db>,
    code: web::Path<String>,
) -> Result<web::Json<ProductView>, Problem> {
    let code = code.into_inner();
    let found = db.run(move |conn| store::products_of(conn, &[code.as_str()].into())).await?;
    found.into_values().next().map(|product| web::Json(product.into())).ok_or_else(|| Problem::new(Code::NotFound))
}

/// Create or replace a product
///
/// A new factor holds for transactions that come in from now on.
#[utoipa::path(tag = "products", operation_id = "putProduct", security(("bearer" = ["products:write"])), request_body = ProductBody,
    params(("code" = String, Path, description = "The product's code", min_length = 1, max_length = 64, example = "P1")), responses(
    (status = 200, body = ProductView, description = "The product as it is now"),
    Problems
))]
#[put("/v1/products/{code}")]
pub async fn put_product(
    _: Permit<WriteProducts>,
    db: web::Data<Db>,
    code: web::Path<String>,
    body: Body<ProductBody>,
) -> Result<web::Json<ProductView>, Problem> {
    let product = body.0.check(&code).map_err(Problem::invalid)?;
    let view = product.clone().into();
    db.run(move |conn| transaction(conn, |conn| store::write_products(conn, std::slice::from_ref(&product)))).await?;
    Ok(web::Json(view))
}
