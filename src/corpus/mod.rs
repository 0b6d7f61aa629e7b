//! Documents as sparse counts: the chunk, the container that holds them, and all ways in and out.
//!
//! From raw text to chunks: [`text`] checks the inputs, [`cutter`] cuts them into pieces that end on record boundaries,
//! [`readers`] find the documents of a piece, [`tokenizer`] their tokens, [`vocabulary`] numbers the tokens, [`bag`]
//! counts them, [`dictionary`] holds their statistics, in [`term_runs`] where they do not fit into memory, and [`term_filter`]
//! decides over the whole corpus which terms stay.

pub mod assemble;
pub mod bag;
pub mod bzip2_blocks;
mod characters;
pub mod chunk;
pub mod compression;
pub mod container;
pub mod csv_header;
pub mod cutter;
pub mod dictionary;
pub mod dictionary_file;
pub mod entry_sorter;
pub mod folder;
pub mod generate;
pub mod hashed_terms;
pub mod kinship;
pub mod matrix_market;
pub mod matrix_market_writer;
pub mod name_list;
pub mod ngrams;
pub mod npz;
pub mod npz_writer;
pub mod phrases;
pub mod piece_rows;
pub mod readers;
pub mod records;
pub mod reread;
pub mod row_lines;
pub mod row_writers;
pub mod sent_rows;
pub mod split;
mod stems;
pub mod stop_words;
pub mod term_filter;
pub mod term_list;
pub mod term_runs;
pub mod text;
pub mod text_form;
pub mod tokenizer;
pub mod vocabulary;
pub mod wiki;
pub mod word_list;
