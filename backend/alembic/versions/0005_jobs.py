"""The queue (ADR 37): tables and functions of procrastinate 3.10 that its worker needs, and ours.

Of its schema there is neither what notifies nor what records events; workers poll. What fetches a
job looks for no others with the same `lock`: we use none, and it would scan them. To its jobs are
added `created_at`, `lost` (attempts that ended their worker), `reason` (why the last one failed)
and `again` (it was inserted while it was executed). A queueing lock is unique in all states, so a
task and subject have one row, and no retry can collide with another one.

Lock: none on what exists.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
compatible_from = "0001"

_TABLES = (
    """
    CREATE TYPE procrastinate_job_status AS ENUM
        ('todo', 'doing', 'succeeded', 'failed', 'cancelled', 'aborting', 'aborted')
    """,
    """
    CREATE TABLE procrastinate_workers (
        id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
        last_heartbeat timestamp with time zone NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE TABLE procrastinate_jobs (
        id bigserial PRIMARY KEY,
        queue_name character varying(128) NOT NULL,
        task_name character varying(128) NOT NULL,
        priority integer DEFAULT 0 NOT NULL,
        lock text,
        queueing_lock text NOT NULL,
        args jsonb DEFAULT '{}' NOT NULL,
        status procrastinate_job_status DEFAULT 'todo' NOT NULL,
        scheduled_at timestamp with time zone,
        attempts integer DEFAULT 0 NOT NULL,
        abort_requested boolean DEFAULT false NOT NULL,
        worker_id bigint REFERENCES procrastinate_workers (id) ON DELETE SET NULL,
        created_at timestamp with time zone DEFAULT now() NOT NULL,
        lost integer DEFAULT 0 NOT NULL,
        reason character varying(500),
        again boolean DEFAULT false NOT NULL,
        CONSTRAINT uq_procrastinate_jobs_queueing_lock UNIQUE (queueing_lock)
    )
    """,
    """
    CREATE INDEX procrastinate_jobs_priority_idx_v1
        ON procrastinate_jobs (priority DESC, id) WHERE status = 'todo'
    """,
    """
    CREATE INDEX idx_procrastinate_jobs_worker_not_null
        ON procrastinate_jobs (worker_id) WHERE worker_id IS NOT NULL AND status = 'doing'
    """,
    "CREATE INDEX ix_procrastinate_jobs_failed ON procrastinate_jobs (id) WHERE status = 'failed'",
    """
    CREATE TABLE periodic_tasks (
        task_name character varying(128) PRIMARY KEY,
        last_due timestamp with time zone NOT NULL
    )
    """,
)
_FUNCTIONS = (
    """
    CREATE FUNCTION procrastinate_fetch_job_v2(
        target_queue_names character varying[], p_worker_id bigint
    ) RETURNS procrastinate_jobs LANGUAGE plpgsql AS $$
    DECLARE
        found_jobs procrastinate_jobs;
    BEGIN
        WITH candidate AS (
            SELECT jobs.*
                FROM procrastinate_jobs AS jobs
                WHERE
                    jobs.status = 'todo'
                    AND (
                        target_queue_names IS NULL OR jobs.queue_name = ANY( target_queue_names )
                    )
                    AND (jobs.scheduled_at IS NULL OR jobs.scheduled_at <= now())
                ORDER BY jobs.priority DESC, jobs.id ASC LIMIT 1
                FOR UPDATE OF jobs SKIP LOCKED
        )
        UPDATE procrastinate_jobs
            SET status = 'doing', worker_id = p_worker_id
            FROM candidate
            WHERE procrastinate_jobs.id = candidate.id
            RETURNING procrastinate_jobs.* INTO found_jobs;

        RETURN found_jobs;
    END;
    $$
    """,
    """
    CREATE FUNCTION procrastinate_register_worker_v1()
        RETURNS TABLE(worker_id bigint) LANGUAGE plpgsql AS $$
    BEGIN
        RETURN QUERY
        INSERT INTO procrastinate_workers DEFAULT VALUES
        RETURNING procrastinate_workers.id;
    END;
    $$
    """,
    """
    CREATE FUNCTION procrastinate_unregister_worker_v1(worker_id bigint)
        RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        DELETE FROM procrastinate_workers
        WHERE id = worker_id;
    END;
    $$
    """,
    """
    CREATE FUNCTION procrastinate_prune_stalled_workers_v1(seconds_since_heartbeat float)
        RETURNS TABLE(worker_id bigint) LANGUAGE plpgsql AS $$
    BEGIN
        RETURN QUERY
        DELETE FROM procrastinate_workers
        WHERE last_heartbeat < NOW() - (seconds_since_heartbeat || 'SECOND')::INTERVAL
        RETURNING procrastinate_workers.id;
    END;
    $$
    """,
)


def upgrade() -> None:
    """Create the queue, in one transaction."""
    for statement in (*_TABLES, *_FUNCTIONS):
        op.execute(statement)


def downgrade() -> None:
    """Drop it, with the jobs: `make backfill` queues those for thumbnails again."""
    op.execute("DROP FUNCTION procrastinate_prune_stalled_workers_v1")
    op.execute("DROP FUNCTION procrastinate_unregister_worker_v1")
    op.execute("DROP FUNCTION procrastinate_register_worker_v1")
    op.execute("DROP FUNCTION procrastinate_fetch_job_v2")
    op.execute("DROP TABLE periodic_tasks, procrastinate_jobs, procrastinate_workers")
    op.execute("DROP TYPE procrastinate_job_status")
