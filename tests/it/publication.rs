//! Tests of publication.
