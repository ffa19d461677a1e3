//! The tables as Diesel sees them. Written by hand beside the migrations; a test compares it with a migrated database.
#![expect(missing_docs, reason = "the migrations and the design of each capability describe the columns")]

diesel::table! {
    deployment (id) {
        id -> Unsigned<TinyInt>,
        pack_id -> Text,
        time_zone -> Text,
        currency -> Text,
        fixed_business_date -> Nullable<Date>,
        sample_loaded_at -> Nullable<Datetime>,
        created_at -> Datetime,
        catalogue_seq -> BigInt,
        history_from -> SmallInt,
    }
}

diesel::table! {
    users (id) {
        id -> Binary,
        username -> Text,
        password_hash -> Text,
        created_at -> Datetime,
        display_name -> Text,
        status -> Text,
        version -> BigInt,
        last_sign_in_at -> Nullable<Datetime>,
    }
}

diesel::table! {
    user_roles (user_id, role) {
        user_id -> Binary,
        role -> Text,
    }
}

diesel::table! {
    roles (name) {
        name -> Text,
        permissions -> Text,
        version -> BigInt,
    }
}

diesel::table! {
    sessions (id) {
        id -> Binary,
        user_id -> Binary,
        user_agent -> Text,
        address -> Text,
        created_at -> Datetime,
        used_at -> Datetime,
        expires_at -> Datetime,
        ended -> Bool,
    }
}

diesel::table! {
    refresh_tokens (hash) {
        hash -> Binary,
        session_id -> Binary,
        issued_at -> Datetime,
        expires_at -> Datetime,
        used_at -> Nullable<Datetime>,
    }
}

diesel::table! {
    access_state (id) {
        id -> Unsigned<TinyInt>,
        version -> BigInt,
    }
}

diesel::table! {
    signing_keys (id) {
        id -> Binary,
        public_key -> Binary,
        private_key -> Binary,
        created_at -> Datetime,
        signs_from -> Datetime,
    }
}

diesel::table! {
    idempotency_keys (user_id, key_digest) {
        user_id -> Binary,
        key_digest -> Binary,
        request_digest -> Binary,
        owner -> Binary,
        owned_until -> Datetime,
        status -> Nullable<SmallInt>,
        headers -> Nullable<Text>,
        body -> Nullable<Binary>,
        created_at -> Datetime,
        expires_at -> Datetime,
    }
}

diesel::table! {
    sign_in_attempts (who, period) {
        who -> Binary,
        period -> BigInt,
        failures -> BigInt,
    }
}

diesel::table! {
    releases (digest) {
        digest -> Binary,
        pack_id -> Text,
        content -> Text,
        created_at -> Datetime,
    }
}

diesel::table! {
    cohorts (digest) {
        digest -> Binary,
        content -> Text,
        created_at -> Datetime,
    }
}

diesel::table! {
    bases (number) {
        number -> BigInt,
        release_digest -> Binary,
        cohort_digest -> Binary,
        business_date -> Date,
        created_at -> Datetime,
        rules_number -> BigInt,
        catalogue_seq -> BigInt,
    }
}

diesel::table! {
    customers (shard, id) {
        shard -> Unsigned<TinyInt>,
        id -> Binary,
        code -> Text,
        name -> Text,
        search -> Text,
        status -> Text,
        profile -> Text,
        version -> BigInt,
        created_at -> Datetime,
        updated_at -> Datetime,
    }
}

diesel::table! {
    customer_values (shard, customer_id, field, item) {
        shard -> Unsigned<TinyInt>,
        customer_id -> Binary,
        field -> Text,
        item -> Unsigned<SmallInt>,
        text_value -> Nullable<Text>,
        number_value -> Nullable<Decimal>,
        date_value -> Nullable<Date>,
    }
}

diesel::table! {
    products (code) {
        code -> Text,
        name -> Text,
        category -> Text,
        unit -> Text,
        factor -> Decimal,
        updated_at -> Datetime,
    }
}

diesel::table! {
    transactions (shard, customer_id, occurred_on, id) {
        shard -> Unsigned<TinyInt>,
        customer_id -> Binary,
        occurred_on -> Date,
        id -> Binary,
        source -> Text,
        external_id -> Text,
        kind -> Text,
        order_reference -> Text,
        occurred_at -> Nullable<Datetime>,
        revision -> Nullable<BigInt>,
        cancelled -> Bool,
        digest -> Binary,
        line_items -> Text,
        created_at -> Datetime,
        updated_at -> Datetime,
    }
}

diesel::table! {
    observations (shard, subject_id, id, version) {
        shard -> Unsigned<TinyInt>,
        subject_id -> Binary,
        id -> Binary,
        version -> BigInt,
        source -> Text,
        external_id -> Text,
        kind -> Text,
        observed_on -> Date,
        value -> Nullable<Decimal>,
        evidence -> Nullable<Text>,
        reported_by -> Nullable<Text>,
        user_id -> Binary,
        withdrawn -> Bool,
        superseded -> Bool,
        digest -> Binary,
        recorded_at -> Datetime,
    }
}

diesel::table! {
    totals (shard, customer_id, kind, year) {
        shard -> Unsigned<TinyInt>,
        customer_id -> Binary,
        kind -> Text,
        year -> SmallInt,
        months -> Text,
        products -> Text,
    }
}

diesel::table! {
    assessments (shard, customer_id, id, month) {
        shard -> Unsigned<TinyInt>,
        customer_id -> Binary,
        id -> Binary,
        run_id -> Nullable<Binary>,
        basis_number -> BigInt,
        release_digest -> Binary,
        cohort_digest -> Binary,
        as_of -> Date,
        assessed_at -> Datetime,
        content -> Text,
        month -> SmallInt,
    }
}

diesel::table! {
    subjects (shard, customer_id) {
        shard -> Unsigned<TinyInt>,
        customer_id -> Binary,
        input_seq -> BigInt,
        closed_to -> BigInt,
        next_due_on -> Nullable<Date>,
        assessment_id -> Nullable<Binary>,
        basis_number -> BigInt,
        digest -> Nullable<Binary>,
        confirmed_at -> Nullable<Datetime>,
    }
}

diesel::table! {
    outcomes (shard, customer_id, policy) {
        shard -> Unsigned<TinyInt>,
        customer_id -> Binary,
        policy -> Text,
        outcome -> Text,
        flag -> Nullable<Text>,
        since -> Date,
        assessment_id -> Binary,
        closed_on -> Nullable<Date>,
        provisional -> Nullable<Text>,
        computed -> Nullable<Text>,
        computed_since -> Nullable<Date>,
        computed_assessment_id -> Nullable<Binary>,
        differs_since -> Nullable<Date>,
    }
}

diesel::table! {
    employees (id) {
        id -> Binary,
        code -> Text,
        name -> Text,
        status -> Text,
        user_id -> Nullable<Binary>,
        version -> BigInt,
        created_at -> Datetime,
    }
}

diesel::table! {
    employee_areas (employee_id, starts_on) {
        employee_id -> Binary,
        starts_on -> Date,
        area -> Text,
        ends_on -> Nullable<Date>,
    }
}

diesel::table! {
    staff_evaluations (id) {
        id -> Binary,
        employee_id -> Binary,
        period -> Date,
        area -> Text,
        policy -> Text,
        in_charge_id -> Binary,
        in_charge -> Text,
        release_digest -> Binary,
        score -> Decimal,
        content -> Text,
        remarks -> Text,
        corrects -> Nullable<Binary>,
        reason -> Nullable<Text>,
        corrected -> Bool,
        version -> BigInt,
        computed_at -> Datetime,
        employee_signed_at -> Nullable<Datetime>,
        in_charge_signed_at -> Nullable<Datetime>,
    }
}

diesel::table! {
    bonus_pools (id) {
        id -> Binary,
        area -> Text,
        period -> Date,
        collected -> Decimal,
        share -> Decimal,
        amount -> Decimal,
        currency -> Text,
        content -> Text,
        user_id -> Binary,
        author -> Text,
        created_at -> Datetime,
        corrects -> Nullable<Binary>,
        reason -> Nullable<Text>,
        corrected -> Bool,
    }
}

diesel::table! {
    overrides (id) {
        id -> Binary,
        shard -> Unsigned<TinyInt>,
        customer_id -> Binary,
        policy -> Text,
        outcome -> Text,
        reason -> Text,
        user_id -> Binary,
        author -> Text,
        created_at -> Datetime,
        starts_on -> Date,
        expires_on -> Date,
        ended_on -> Nullable<Date>,
        ended_at -> Nullable<Datetime>,
        ended_by -> Nullable<Text>,
    }
}

diesel::table! {
    appeals (id) {
        id -> Binary,
        shard -> Unsigned<TinyInt>,
        customer_id -> Binary,
        policy -> Text,
        assessment_id -> Binary,
        outcome -> Text,
        filed_for -> Text,
        grounds -> Text,
        evidence -> Nullable<Text>,
        user_id -> Binary,
        author -> Text,
        filed_at -> Datetime,
        filed_on -> Date,
        input_seq -> BigInt,
        answer_by -> Date,
        overdue_told -> Bool,
        resolution -> Nullable<Text>,
        resolved_on -> Nullable<Date>,
        resolved_at -> Nullable<Datetime>,
        reviewer_id -> Nullable<Binary>,
        reviewer -> Nullable<Text>,
        answer -> Nullable<Text>,
        override_id -> Nullable<Binary>,
    }
}

diesel::table! {
    list_entries (id) {
        id -> Binary,
        list -> Text,
        shard -> Unsigned<TinyInt>,
        customer_id -> Binary,
        reason -> Text,
        user_id -> Binary,
        author -> Text,
        created_at -> Datetime,
        expires_on -> Nullable<Date>,
        ended_at -> Nullable<Datetime>,
    }
}

diesel::table! {
    closings (basis_number) {
        basis_number -> BigInt,
        cause -> Text,
        policies -> Text,
        run_id -> Nullable<Binary>,
        created_at -> Datetime,
        finished_at -> Nullable<Datetime>,
    }
}

diesel::table! {
    runs (id) {
        id -> Binary,
        basis_number -> BigInt,
        status -> Text,
        total -> BigInt,
        created_at -> Datetime,
        finished_at -> Nullable<Datetime>,
        cause -> Text,
        closing -> Nullable<Text>,
        failed_of -> Nullable<Binary>,
    }
}

diesel::table! {
    run_failures (run_id, shard, customer_id) {
        run_id -> Binary,
        shard -> Unsigned<TinyInt>,
        customer_id -> Binary,
        reasons -> Text,
    }
}

diesel::table! {
    run_shards (run_id, shard) {
        run_id -> Binary,
        shard -> Unsigned<TinyInt>,
        owner -> Nullable<Binary>,
        lease_until -> Nullable<Datetime>,
        token -> BigInt,
        after_id -> Binary,
        finished -> Bool,
        assessed -> BigInt,
        unchanged -> BigInt,
        failed -> BigInt,
        summary -> Text,
    }
}

diesel::table! {
    due_shards (shard) {
        shard -> Unsigned<TinyInt>,
        owner -> Nullable<Binary>,
        lease_until -> Nullable<Datetime>,
        token -> BigInt,
    }
}

diesel::table! {
    events (shard, seq) {
        shard -> Unsigned<TinyInt>,
        seq -> BigInt,
        id -> Binary,
        kind -> Text,
        customer_id -> Nullable<Binary>,
        occurred_at -> Datetime,
        content -> Text,
    }
}

diesel::table! {
    event_shards (shard) {
        shard -> Unsigned<TinyInt>,
        seq -> BigInt,
    }
}

diesel::table! {
    imports (id) {
        id -> Binary,
        kind -> Text,
        dry_run -> Bool,
        status -> Text,
        options -> Text,
        file_name -> Text,
        total_bytes -> BigInt,
        done_bytes -> BigInt,
        outcome -> Text,
        created_by -> Binary,
        created_at -> Datetime,
        finished_at -> Nullable<Datetime>,
        owner -> Nullable<Binary>,
        lease_until -> Nullable<Datetime>,
        token -> BigInt,
    }
}

diesel::table! {
    import_files (import_id, part) {
        import_id -> Binary,
        part -> Unsigned<Integer>,
        content -> Binary,
    }
}

diesel::table! {
    import_reports (import_id, part) {
        import_id -> Binary,
        part -> Unsigned<Integer>,
        content -> Binary,
    }
}

diesel::table! {
    release_steps (release_digest, id) {
        release_digest -> Binary,
        id -> Binary,
        kind -> Text,
        user_id -> Nullable<Binary>,
        author -> Text,
        parent_digest -> Nullable<Binary>,
        comparison_digest -> Nullable<Binary>,
        message -> Nullable<Text>,
        created_at -> Datetime,
    }
}

diesel::table! {
    comparisons (run_id) {
        run_id -> Binary,
        candidate_digest -> Binary,
        cohort_digest -> Nullable<Binary>,
        user_id -> Nullable<Binary>,
        author -> Text,
        population -> Text,
        content -> Nullable<Text>,
        digest -> Nullable<Binary>,
    }
}

diesel::table! {
    run_tallies (run_id, shard) {
        run_id -> Binary,
        shard -> Unsigned<TinyInt>,
        tally -> Text,
    }
}

diesel::table! {
    run_distributions (run_id) {
        run_id -> Binary,
        compared_with -> Nullable<Binary>,
        content -> Text,
    }
}

diesel::table! {
    shadows (id) {
        id -> Binary,
        release_digest -> Binary,
        user_id -> Nullable<Binary>,
        author -> Text,
        facts -> Text,
        starts_on -> Date,
        ends_on -> Date,
        status -> Text,
        decided_on -> Nullable<Date>,
        run_id -> Nullable<Binary>,
        cohort_digest -> Nullable<Binary>,
        cohort_beside -> Nullable<Binary>,
        result -> Nullable<Text>,
        created_at -> Datetime,
    }
}

diesel::table! {
    shadow_subjects (shadow_id, shard, customer_id) {
        shadow_id -> Binary,
        shard -> Unsigned<TinyInt>,
        customer_id -> Binary,
        content -> Text,
    }
}

diesel::joinable!(import_files -> imports (import_id));
diesel::joinable!(import_reports -> imports (import_id));

diesel::allow_tables_to_appear_in_same_query!(
    deployment,
    users,
    user_roles,
    roles,
    sessions,
    refresh_tokens,
    access_state,
    signing_keys,
    sign_in_attempts,
    releases,
    cohorts,
    bases,
    customers,
    customer_values,
    products,
    transactions,
    observations,
    totals,
    assessments,
    subjects,
    outcomes,
    list_entries,
    overrides,
    appeals,
    employees,
    employee_areas,
    staff_evaluations,
    bonus_pools,
    closings,
    runs,
    run_shards,
    run_failures,
    due_shards,
    events,
    event_shards,
    imports,
    import_files,
    import_reports,
    release_steps,
    comparisons,
    run_tallies,
    run_distributions,
    shadows,
    shadow_subjects,
);
