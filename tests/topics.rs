//! `corpuscle topics`: the same topics as a table, as JSON and as CSV.

mod common;

use common::corpora::{model, write_model};
use common::{alone, has_mpi, ranks, text};
use corpuscle::lsi::model::LsiModel;
use serde_json::Value;
use tempfile::tempdir;

/// Terms by falling absolute weight, by sorting all of them.
fn expected(model: &LsiModel, topic: usize, count: usize) -> Vec<(String, f64)> {
    let column = model.left_vectors.column(topic);
    let mut order: Vec<usize> = (0..model.terms.len()).collect();
    order.sort_by(|&a, &b| column[b].abs().total_cmp(&column[a].abs()));
    order[..count].iter().map(|&term| (model.terms[term].clone(), column[term].to_string().parse().unwrap())).collect()
}

#[test]
fn json_and_csv_hold_one_row_per_topic_and_term() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("model.h5");
    let model = model(90, 7, "nfc");
    write_model(&path, &model);
    let arguments = ["topics", text(&path), "-n", "3", "--words", "4", "--format"];
    let json = alone(arguments.iter().chain(&["json"])).ok().stdout;
    let rows: Vec<Value> = serde_json::from_str(&json).expect("JSON");
    let csv = alone(arguments.iter().chain(&["csv"])).ok().stdout;
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    assert_eq!(reader.headers().unwrap(), vec!["topic", "singular_value", "residual", "position", "term", "weight"]);
    let records: Vec<csv::StringRecord> = reader.records().map(|record| record.expect("CSV")).collect();
    assert_eq!((rows.len(), records.len()), (12, 12));
    for topic in 0..3 {
        for (position, (term, weight)) in expected(&model, topic, 4).into_iter().enumerate() {
            let (row, record) = (&rows[4 * topic + position], &records[4 * topic + position]);
            assert_eq!((&row["topic"], &row["position"]), (&Value::from(topic), &Value::from(position)));
            assert_eq!((&row["term"], &row["weight"]), (&Value::from(term.as_str()), &Value::from(weight)));
            assert_eq!(row["singular_value"], model.singular_values[topic]);
            assert_eq!(row["residual"], model.residuals[topic]);
            assert_eq!((&record[0], &record[4]), (topic.to_string().as_str(), term.as_str()));
            assert_eq!(record[5].parse::<f64>(), Ok(weight));
        }
    }
}

#[test]
fn a_table_has_a_line_per_topic_and_is_printed_once_by_any_number_of_ranks() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("model.h5");
    let model = model(90, 7, "nfc");
    write_model(&path, &model);
    let finished = alone(["topics", text(&path), "--words", "3"]).ok();
    // A head of two lines, and all 7 topics where 10 were asked for.
    assert_eq!(finished.stdout.lines().count(), 9, "{}", finished.stdout);
    for (topic, line) in finished.stdout.lines().skip(2).enumerate() {
        let terms: Vec<String> =
            expected(&model, topic, 3).into_iter().map(|(term, weight)| format!("{weight:.3}*\"{term}\"")).collect();
        assert!(line.ends_with(&terms.join(" + ")), "{line}");
        assert!(line.contains(&format!("{:.3}", model.singular_values[topic])), "{line}");
    }
    assert_eq!(finished.stderr, "");
    if !has_mpi() {
        return;
    }
    let distributed = ranks(3, ["topics", text(&path), "--words", "3"]);
    assert_eq!(distributed.ok().stdout, finished.stdout);
}

#[test]
fn what_is_no_model_is_refused() {
    let folder = tempdir().unwrap();
    let [missing, junk] = ["missing.h5", "junk.h5"].map(|name| folder.path().join(name));
    std::fs::write(&junk, "no model").expect("written");
    alone(["topics", text(&missing)]).failed(1, &["missing.h5"]);
    alone(["topics", text(&junk)]).failed(1, &["junk.h5"]);
    alone(["topics", text(&junk), "-n", "0"]).failed(2, &["--topics", "0 is not in 1.."]);
    if !has_mpi() {
        return;
    }
    let finished = ranks(2, ["topics", text(&missing)]);
    finished.failed(1, &["missing.h5"]);
}
