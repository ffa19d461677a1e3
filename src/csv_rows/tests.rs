//! What is read of files as users have them, and what is refused.

use super::*;

fn open(content: &[u8], mapping: &[(&str, &str)]) -> Result<Rows, FileError> {
    open_in("utf-8", content, mapping)
}

fn open_in(encoding: &str, content: &[u8], mapping: &[(&str, &str)]) -> Result<Rows, FileError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.csv");
    std::fs::write(&path, content).unwrap();
    let columns = [Column::required("code"), Column::required("name"), Column::optional("basic.city").or("city")];
    let mapping = mapping.iter().map(|(to, from)| ((*to).to_owned(), (*from).to_owned())).collect();
    Rows::open(&path, encoding.parse().unwrap(), &columns, &mapping)
}

fn refusal(content: &[u8], mapping: &[(&str, &str)]) -> String {
    open(content, mapping).err().expect("the file should be refused").to_string()
}

fn cells(content: &[u8]) -> Vec<(u64, Option<String>, Option<String>)> {
    let rows = open(content, &[]).unwrap();
    let owned = |cell: Option<&str>| cell.map(str::to_owned);
    rows.map(|row| row.unwrap().unwrap())
        .map(|row| (row.line(), owned(row.get("code")), owned(row.get("basic.city"))))
        .collect()
}

#[test]
fn reads_comma_semicolon_and_tab_with_and_without_byte_order_mark() {
    let wanted = vec![(2, Some("A1".to_owned()), Some("Lleó, Castella".to_owned()))];
    assert_eq!(cells("code,name,city\nA1, Ana ,\"Lleó, Castella\"\n".as_bytes()), wanted);
    assert_eq!(cells("\u{feff}Code;name;basic.city\r\nA1;Ana;Lleó, Castella\r\n".as_bytes()), wanted);
    assert_eq!(cells("code\tname\tcity\nA1\tAna\tLleó, Castella".as_bytes()), wanted);
}

#[test]
fn lines_are_counted_over_blank_lines_and_breaks_inside_cells() {
    let lines = |text: &str| cells(text.as_bytes()).iter().map(|row| row.0).collect::<Vec<_>>();
    assert_eq!(lines("code,name\n\nA,a\n\n\nB,\"b\nc\"\nC,c"), [3, 6, 8]);
    assert_eq!(lines("code,name\r\n\r\nA,a\r\n,\r\nB,\"b\r\nc\"\r\nC,c\r\n"), [3, 5, 7]);
}

#[test]
fn an_empty_cell_is_absent() {
    assert_eq!(cells(b"code,name,city\nA,b,  \n"), [(2, Some("A".to_owned()), None)]);
}

/// The names of the customers of a file in an encoding.
fn names(encoding: &str, content: &[u8]) -> Vec<String> {
    let rows = open_in(encoding, content, &[]).unwrap();
    rows.map(|row| row.unwrap().unwrap().get("name").unwrap().to_owned()).collect()
}

#[test]
fn text_is_read_in_the_encoding_of_the_user() {
    let chinese = b"code,name\nS292,\xbb\xaa\xba\xa3\xd0\xa1\xc2\xf4\xb2\xbf\nS293,\x95\x34\xb2\x35\xd2\xb0\xbc\xd2\n";
    assert_eq!(names("gb18030", chinese), ["华海小卖部", "𠮷野家"]);
    assert_eq!(names("GB2312", b"code;name\nA;\xc0\xee\xc4\xc8"), ["李娜"]);
    let spanish = b"code;name\r\nA;Pe\xf1a Mu\xf1oz, \xc1vila \x80\r\n";
    assert_eq!(names("windows-1252", spanish), ["Peña Muñoz, Ávila €"]);
    let utf_16 = "code,name\nA,José\nB,李娜\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    assert_eq!(names("utf-16le", &utf_16), ["José", "李娜"]);
}

#[test]
fn a_byte_order_mark_wins() {
    let utf_16 = "\u{feff}code,name\nA,José".encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>();
    assert_eq!(names("gb18030", &utf_16), ["José"]);
    assert_eq!(names("windows-1252", "\u{feff}code,name\nA,José".as_bytes()), ["José"]);
}

#[test]
fn a_file_in_another_encoding_is_read_by_blocks_and_ends_at_its_size() {
    let row = "S1,华海小卖部\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    let mut content = "code,name\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    (0..30_000).for_each(|_| content.extend(&row));
    let mut rows = open_in("utf-16le", &content, &[]).unwrap();
    assert_eq!(rows.bytes_total(), u64::try_from(content.len()).unwrap());
    let mut before = 0;
    let mut count = 0;
    while let Some(row) = rows.next() {
        assert_eq!(row.unwrap().unwrap().get("name"), Some("华海小卖部"));
        assert!(rows.bytes_read() > before);
        before = rows.bytes_read();
        count += 1;
    }
    assert_eq!((count, rows.bytes_read()), (30_000, rows.bytes_total()));
}

#[test]
fn a_wrong_encoding_is_told_with_its_line_and_those_that_are_likely() {
    let chinese = b"code,name\nA,a\nB,\xbb\xaa\xba\xa3\xd0\xa1\xc2\xf4\xb2\xbf\n";
    let text = refusal(chinese, &[]);
    assert!(text.contains("line 3, character 3 of the line (byte 0xBB) is not UTF-8; say by --encoding"), "{text}");
    assert!(text.contains("'encoding' of an upload") && text.contains("likely gb18030 (Chinese)"), "{text}");
    let text = refusal(b"code,name\nA,Pe\xf1a Mu\xf1\xf3z, \xc1 vila\n", &[]);
    assert!(text.contains("(byte 0xF1)") && text.ends_with("likely windows-1252 (Western European)"), "{text}");
    let in_gb18030 = open_in("gb18030", b"code,name\nA,\xff\xff\n", &[]).err().unwrap().to_string();
    assert!(in_gb18030.contains("line 2, character 3 of the line (byte 0xFF) is not gb18030"), "{in_gb18030}");
    assert!(refusal(b"code,name\nA,\xc3", &[]).contains("line 2, character 3"));
    let unknown = "gb18031".parse::<Encoding>().unwrap_err();
    assert!(unknown.contains("'gb18031' is no encoding") && unknown.contains("gb18030"), "{unknown}");
}

#[test]
fn what_is_no_text_is_refused() {
    let text = refusal(b"c\0o\0d\0e\0\n\0", &[]);
    assert!(text.contains("UTF-16") && text.contains("'encoding' of an upload"), "{text}");
    assert!(refusal(b"PK\x03\x04abc", &[]).contains("workbook"));
    assert!(refusal(b"", &[]).contains("empty"));
    assert!(refusal(b"\xef\xbb\xbf", &[]).contains("empty"));
}

#[test]
fn a_wrong_byte_is_found_where_blocks_meet() {
    let mut content = b"code,name\n".to_vec();
    content.resize(encoding::BLOCK - 1, b'x');
    content.extend("é\n".as_bytes());
    assert!(open(&content, &[]).is_ok());
    content.extend(b"A,\xe9,");
    assert!(refusal(&content, &[]).contains("line 3, character 3 of the line (byte 0xE9)"));
}

#[test]
fn every_fault_of_header_and_mapping_is_named() {
    let text = refusal(b"kode,name,NAME\n", &[("basic.citi", "town"), ("city", "twon")]);
    for part in [
        "'code' is missing; did you mean 'kode'?",
        "the column 'NAME' stands twice",
        "nothing can be imported into 'basic.citi'; did you mean 'basic.city'?",
        "'twon' is missing (the header has kode, name, NAME)",
    ] {
        assert!(text.contains(part), "{part} is missing in: {text}");
    }
    assert!(refusal(b"code,name,city,basic.city\n", &[]).contains("the same column"));
    let twice = refusal(b"code,name,town,place\n", &[("city", "town"), ("basic.city", "place")]);
    assert!(twice.contains("the mapping names the column of 'basic.city' twice"), "{twice}");
}

#[test]
fn a_first_row_of_data_is_not_repeated() {
    let text = refusal("S112,Li Xiaodong,000-84927258,000-84927258\nS113,Min Zhao,1,2\n".as_bytes(), &[]);
    assert!(
        text.ends_with("none of the 4 columns of the first line is known: it must be a header, which names code, name"),
        "{text}"
    );
    let text = refusal(b"S112,Li Xiaodong\n", &[("code", "shop_no"), ("city", "town")]);
    assert!(text.ends_with("which names shop_no, name, town") && !text.contains("S112"), "{text}");
    let text = refusal(b"S112,Li Xiaodong\n", &[("cody", "shop_no")]);
    assert!(text.contains("imported into 'cody'") && !text.contains("Li"), "{text}");
}

#[test]
fn lines_that_end_with_a_carriage_return_alone_are_refused() {
    for content in ["code,name\rA,a\r", "code,name\rA,\"two\nlines\"\r", "\"co\nde\",name\rA,a"] {
        assert!(refusal(content.as_bytes(), &[]).contains("a carriage return alone"), "{content:?}");
    }
    let large = format!("code,name\r{}", "A,a\r".repeat(500_000));
    assert!(refusal(large.as_bytes(), &[]).contains("a carriage return alone"));
    assert_eq!(cells(b"code,name\r\nA,a\rb\r\n").len(), 1, "one in a cell ends nothing");
    assert_eq!(cells(b"code,name\r"), []);
}

#[test]
fn a_target_is_mapped_once_in_whatever_letters() {
    let pairs = |targets: &[&str]| mapping(targets.iter().map(|target| ((*target).to_owned(), "x".to_owned())));
    assert_eq!(pairs(&["code", "name"]).unwrap().len(), 2);
    assert_eq!(pairs(&["code", "name", "Code"]), Err("Code".to_owned()));
}

#[test]
fn a_mapping_names_the_column() {
    let rows = open(b"id,name,where,city\nA,a,here,there\n", &[("code", "id"), ("city", "where")]).unwrap();
    assert_eq!(rows.unused(&[]).into_iter().map(|remark| remark.column).collect::<Vec<_>>(), ["city"]);
    let row = rows.map(|row| row.unwrap().unwrap()).next().unwrap();
    assert_eq!((row.get("code"), row.get("basic.city")), (Some("A"), Some("here")));
    assert_eq!(row.fault("basic.city", "c", "d").column, "where");
}

#[test]
fn a_column_that_is_not_read_is_told_with_what_was_perhaps_meant() {
    let columns = [Column::required("code"), Column::optional("name"), Column::optional("basic.city").or("city")];
    let rows = open(b"code,name,citty,Nam,colour\n", &[]).unwrap();
    let told: Vec<String> = rows.unused(&columns).into_iter().map(|remark| remark.detail).collect();
    assert_eq!(
        told,
        [
            "the column 'citty' is not read; did you mean 'city'?",
            "the column 'Nam' is not read",
            "the column 'colour' is not read"
        ],
        "the column of the name is there already"
    );
}

#[test]
fn a_row_with_another_number_of_cells_is_faulty_and_the_next_one_is_not() {
    let rows: Vec<_> = open(b"code,name\nA\nB,b\nC,c,c\n", &[]).unwrap().map(|row| row.unwrap()).collect();
    let fault = rows[0].as_ref().unwrap_err();
    assert_eq!((fault.line, fault.detail.as_str()), (2, "the row has 1 cells, the header 2"));
    assert_eq!(rows[1].as_ref().unwrap().get("code"), Some("B"));
    assert_eq!(rows[2].as_ref().unwrap_err().line, 4);
}

#[test]
fn a_quote_left_open_does_not_take_the_file_into_memory() {
    let mut content = b"code,name\nA,\"".to_vec();
    content.resize(3 << 20, b'\n');
    let mut rows = open(&content, &[]).unwrap();
    let error = rows.next().unwrap().unwrap_err();
    assert!(matches!(error, FileError { fault: FileFault::LongRow { line: 1 }, .. }), "{error}");
}

#[test]
fn faults_are_told_while_a_file_is_read_also_where_no_row_is_right() {
    let rows = open(b"code,name\nA1\nA2\nA3\nA4\nA5\nA6\n", &[]).unwrap();
    let (mut report, mut told) = (Report::new(None).unwrap(), Vec::new());
    let take = |_, report: &mut Report| {
        told.push(report.first().len());
        Ok::<_, Box<dyn std::error::Error>>(())
    };
    rows.take_in(2, &mut report, &mut Progress::hidden(), take).unwrap();
    assert_eq!(told, [0, 0, 2, 2], "those of the chunk before the last one are told");
    assert_eq!(report.finish().unwrap().first().len(), 6);
}
