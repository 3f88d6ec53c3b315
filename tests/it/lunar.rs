//! The lunar calendar against published tables.
