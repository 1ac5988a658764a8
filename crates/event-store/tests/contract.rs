//! What every dialect of the event store must do: one list of cases, run on SQLite and in memory always,
//! and on PostgreSQL where `EXEUNT_TEST_POSTGRES_URL` names a server.

#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "all of it is tests")]

mod contract {
    pub mod doubles;
    pub mod harness;

    pub mod claims;
    pub mod events;
    pub mod failures;
    pub mod listings;
    pub mod locks;
    pub mod offsets;
    pub mod order;
    pub mod parked;
    pub mod presumed;
    pub mod tails;
    pub mod timers;
}

/// Makes a test of each case.
macro_rules! cases {
    ($how:ident; $($module:ident: $($case:ident)+;)+) => {
        $($(
            #[test]
            fn $case() {
                crate::contract::harness::$how(crate::contract::$module::$case);
            }
        )+)+
    };
}

/// What holds wherever events are.
macro_rules! everywhere {
    ($how:ident) => {
        cases! {
            $how;
            events:
                every_field_comes_back_as_it_went_in
                an_expected_version_must_stand
                a_guarded_stream_must_not_have_moved
                a_conflict_names_its_streams_and_leaves_its_neighbours_be
                an_append_sees_those_before_it_in_its_batch
                a_stream_goes_on_with_other_metadata_in_one_append
                streams_load_in_the_order_asked
                a_batch_of_any_size_comes_back_whole
                an_append_without_events_stands_at_the_position_before_it
                what_cannot_be_stored_is_refused_before_it_queues;
            claims:
                a_claim_is_taken_once_and_answers_with_its_value
                of_two_claims_in_one_batch_the_first_stands;
            timers:
                timers_are_set_moved_and_cleared
                due_timers_come_earliest_first;
            offsets:
                an_offset_moves_only_from_where_it_stands
                an_offset_goes_on_in_another_incarnation;
            listings:
                a_listing_keeps_when_it_began_and_changes_the_rest
                lists_are_told_newest_first_page_by_page
                lists_are_picked_by_owner_and_state;
            parked:
                a_record_is_parked_replayed_and_removed
                parked_records_are_told_in_order_page_by_page
                keys_tell_whether_they_are_replayed
                changes_of_one_batch_take_effect_in_order;
            order:
                positions_are_gapless_and_in_commit_order
                positions_are_gapless_across_two_stores;
            tails:
                a_tail_gives_everything_once_and_in_order
                a_tail_without_wake_ups_gets_everything_by_polling
                a_tail_catches_up_from_the_table_when_memory_has_forgotten
                a_tail_dropped_while_it_waits_loses_nothing
                waiting_for_a_position_ends_when_it_is_passed;
            locks:
                a_lock_has_one_holder_until_its_guard_is_gone;
        }
    };
}

/// What holds of databases beyond that.
macro_rules! in_databases {
    ($how:ident) => {
        cases! {
            $how;
            order:
                an_append_held_open_makes_later_ones_wait
                an_append_held_open_for_too_long_is_unavailable_and_loses_nothing;
            failures:
                what_conflicts_leaves_nothing_behind
                what_was_acknowledged_is_there_after_reopening
                migrations_apply_once_however_many_open_at_once
                appends_that_gather_share_a_transaction
                reads_that_gather_share_a_query_and_each_gets_its_own
                a_full_queue_says_so
                an_append_nobody_waits_for_is_whole
                closing_commits_what_waits_and_takes_no_more
                a_failed_transaction_fails_its_appends_and_no_others;
        }
    };
}

mod sqlite {
    everywhere!(on_sqlite);
    in_databases!(on_sqlite);
}

mod postgres {
    everywhere!(on_postgres);
    in_databases!(on_postgres);
}

mod memory {
    everywhere!(in_memory);
}

mod sqlite_alone {
    use crate::contract::{failures, harness::on_sqlite};

    #[test]
    fn a_full_disk_is_unavailable_until_there_is_room_again() {
        on_sqlite(failures::a_full_disk_is_unavailable_until_there_is_room_again);
    }
}

mod postgres_alone {
    use crate::contract::{failures, harness::on_postgres, presumed, tails};

    #[test]
    fn an_append_elsewhere_wakes_a_tail() {
        on_postgres(tails::an_append_elsewhere_wakes_a_tail);
    }

    #[test]
    fn connections_that_were_cut_are_made_again() {
        on_postgres(failures::connections_that_were_cut_are_made_again);
    }

    #[test]
    fn what_the_database_refuses_does_not_take_its_neighbours_with_it() {
        on_postgres(failures::what_the_database_refuses_does_not_take_its_neighbours_with_it);
    }

    #[test]
    fn what_another_process_appended_is_never_overlooked() {
        on_postgres(presumed::what_another_process_appended_is_never_overlooked);
    }

    #[test]
    fn versions_that_were_never_read_are_verified_where_they_are_relied_on() {
        on_postgres(presumed::versions_that_were_never_read_are_verified_where_they_are_relied_on);
    }

    #[test]
    fn claims_and_offsets_of_another_process_hold() {
        on_postgres(presumed::claims_and_offsets_of_another_process_hold);
    }

    #[test]
    fn an_answer_that_was_lost_is_unavailable_and_never_a_conflict() {
        on_postgres(presumed::an_answer_that_was_lost_is_unavailable_and_never_a_conflict);
    }

    #[test]
    fn what_several_processes_do_at_once_breaks_no_guard_and_no_version() {
        on_postgres(presumed::what_several_processes_do_at_once_breaks_no_guard_and_no_version);
    }
}
