//! Tests of the whole product; the tests themselves are the integration binaries beside this file.
