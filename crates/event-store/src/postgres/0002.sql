-- Most events fit into a page with others. Compressing them, or moving them to a table beside, costs more
-- than the room that it saves.
alter table events set (toast_tuple_target = 8160);
