//! Tests of landing.
