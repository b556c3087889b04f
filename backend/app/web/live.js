/** What others add and delete: asked for every few seconds while the page is in sight. */
