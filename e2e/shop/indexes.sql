ALTER TABLE public.users ADD CONSTRAINT users_pkey PRIMARY KEY (id);
ALTER TABLE public.users ADD CONSTRAINT users_email_key UNIQUE (email);
CREATE INDEX users_last_name_idx ON public.users (last_name, first_name);
CREATE INDEX users_city_idx ON public.users (country, postcode) WHERE newsletter;

ALTER TABLE public.products ADD CONSTRAINT products_pkey PRIMARY KEY (id);
ALTER TABLE public.products ADD CONSTRAINT products_sku_key UNIQUE (sku);

ALTER TABLE public.orders ADD CONSTRAINT orders_pkey PRIMARY KEY (id);
ALTER TABLE public.orders ADD CONSTRAINT orders_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users (id);
CREATE INDEX orders_user_id_idx ON public.orders (user_id);
CREATE INDEX orders_placed_at_idx ON public.orders (placed_at);

ALTER TABLE public.items ADD CONSTRAINT items_pkey PRIMARY KEY (order_id, line);
ALTER TABLE public.items ADD CONSTRAINT items_order_id_fkey FOREIGN KEY (order_id) REFERENCES public.orders (id);
ALTER TABLE public.items ADD CONSTRAINT items_product_id_fkey FOREIGN KEY (product_id) REFERENCES public.products (id);

ALTER TABLE public.events ADD CONSTRAINT events_pkey PRIMARY KEY (id, at);
ALTER TABLE public.events ADD CONSTRAINT events_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users (id);
CREATE INDEX events_user_id_idx ON public.events (user_id, at);

ALTER TABLE public.audit_log ADD CONSTRAINT audit_log_pkey PRIMARY KEY (id);

CREATE VIEW public.revenue AS
    SELECT date_trunc('month', o.placed_at) AS month, count(*) AS orders, sum(o.total_cents) AS cents
      FROM public.orders o
     GROUP BY 1;
COMMENT ON VIEW public.revenue IS 'Revenue by month';

SELECT setval('public.users_id_seq', (SELECT max(id) FROM public.users)),
       setval('public.products_id_seq', (SELECT max(id) FROM public.products)),
       setval('public.orders_id_seq', (SELECT max(id) FROM public.orders)),
       setval('public.audit_log_id_seq', (SELECT max(id) FROM public.audit_log));
