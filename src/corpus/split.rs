//! Which documents of a corpus go to the test part: a fixed share, stratified by label.

use crate::error::{Error, Result};
use crate::random::Stream;

/// Decides for each document whether it goes to the test part.
///
/// `classes` holds a class number for each document, or is `None` for an unlabelled corpus, which is then one class. The
/// test part has round(`fraction` * documents) documents. Each class gives its share of them rounded down, and the
/// classes with the largest remainders one more (the first of equals), so that no class is off by a whole document. Within
/// a class the documents with the smallest random numbers go; a document's number depends on the seed and its place only.
///
/// Errors: a fraction outside (0, 1); a part that would be empty.
pub fn assignment(classes: Option<&[u32]>, documents: u64, fraction: f64, seed: u64) -> Result<Vec<bool>> {
    if !(fraction > 0.0 && fraction < 1.0) {
        return Err(Error::usage(format!("--test {fraction} is no share of the documents between 0 and 1")));
    }
    let count = documents as usize;
    if let Some(classes) = classes
        && classes.len() != count
    {
        return Err(Error::failed(format!("{} labels for {count} documents", classes.len())));
    }
    let wanted = (fraction * documents as f64).round() as usize;
    if wanted == 0 || wanted == count {
        return Err(Error::usage(format!(
            "--test {fraction} of {documents} documents leaves one of the two parts empty"
        )));
    }
    let class_of = |document: usize| classes.map_or(0, |classes| classes[document] as usize);
    let mut members: Vec<Vec<u64>> = Vec::new();
    for document in 0..count {
        let class = class_of(document);
        if class >= members.len() {
            members.resize(class + 1, Vec::new());
        }
        members[class].push(document as u64);
    }
    let quotas = largest_remainder(&members.iter().map(Vec::len).collect::<Vec<_>>(), wanted);
    let mut test = vec![false; count];
    for (mut members, quota) in members.into_iter().zip(quotas) {
        // The document's number breaks ties between random numbers.
        members.sort_by_cached_key(|&document| (Stream::new(seed, "split", document).bits(), document));
        for &document in &members[..quota] {
            test[document as usize] = true;
        }
    }
    Ok(test)
}

/// Distributes `wanted` over classes in proportion to their sizes, in whole numbers: exact shares rounded down, the rest
/// to the largest remainders (the first of equals). `wanted` is at most the sum of the sizes.
fn largest_remainder(sizes: &[usize], wanted: usize) -> Vec<usize> {
    let total: usize = sizes.iter().sum();
    // In whole numbers, so that remainders compare exactly: size * wanted / total.
    let product = |size: usize| size as u128 * wanted as u128;
    let mut quotas: Vec<usize> = sizes.iter().map(|&size| (product(size) / total as u128) as usize).collect();
    let mut by_remainder: Vec<usize> = (0..sizes.len()).collect();
    by_remainder.sort_by_key(|&class| std::cmp::Reverse(product(sizes[class]) % total as u128));
    let missing = wanted - quotas.iter().sum::<usize>();
    for &class in &by_remainder[..missing] {
        quotas[class] += 1;
    }
    quotas
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_keep_their_shares() {
        // 1,000 documents in classes of 900, 90 and 10.
        let classes: Vec<u32> = (0..1000).map(|d| if d % 100 == 0 { 2 } else { u32::from(d % 10 == 1) }).collect();
        let test = assignment(Some(&classes), 1000, 0.25, 3).unwrap();
        let count = |class: u32| (0..1000).filter(|&d| test[d] && classes[d] == class).count();
        let sizes = [0, 1, 2].map(|class| classes.iter().filter(|&&c| c == class).count());
        assert_eq!(sizes, [890, 100, 10]);
        // Exact shares 222.5, 25 and 2.5: the first of the equal remainders is rounded up.
        assert_eq!([count(0), count(1), count(2)], [223, 25, 2]);
    }

    #[test]
    fn the_choice_is_random_seeded_and_complete() {
        let one = assignment(None, 10_000, 0.1, 1).unwrap();
        assert_eq!(one.iter().filter(|&&t| t).count(), 1000);
        assert_eq!(one, assignment(None, 10_000, 0.1, 1).unwrap());
        let two = assignment(None, 10_000, 0.1, 2).unwrap();
        // Two independent choices share about 100 documents; five standard deviations are 47.
        let both = one.iter().zip(&two).filter(|(a, b)| **a && **b).count();
        assert!((53..=147).contains(&both), "{both}");
        // Neither half is preferred: 500 expected, standard deviation 15.
        let first_half = one[..5000].iter().filter(|&&t| t).count();
        assert!((425..=575).contains(&first_half), "{first_half}");
    }

    #[test]
    fn remainders_never_overfill_a_class() {
        for wanted in 0..=12 {
            let sizes = [1, 0, 7, 4];
            let quotas = largest_remainder(&sizes, wanted);
            assert_eq!(quotas.iter().sum::<usize>(), wanted);
            assert!(quotas.iter().zip(sizes).all(|(&quota, size)| quota <= size), "{quotas:?}");
        }
    }

    #[test]
    fn empty_parts_and_odd_fractions_are_refused() {
        for fraction in [0.0, 1.0, -0.1, f64::NAN, 0.001, 0.999] {
            assert_eq!(assignment(None, 10, fraction, 1).unwrap_err().exit_code(), 2, "{fraction}");
        }
        assert!(assignment(Some(&[0, 1]), 10, 0.5, 1).is_err());
    }
}
