BEGIN TRANSACTION;
CREATE TABLE driver (
    id INTEGER PRIMARY KEY CHECK (id = 1), token TEXT NOT NULL, host TEXT NOT NULL,
    pid INTEGER NOT NULL, started TEXT NOT NULL, since TEXT NOT NULL, expires REAL NOT NULL
) STRICT;
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
INSERT INTO "meta" VALUES('name','made-up');
INSERT INTO "meta" VALUES('objectives','["miou", "macs"]');
INSERT INTO "meta" VALUES('choices','[]');
INSERT INTO "meta" VALUES('levels','[]');
INSERT INTO "meta" VALUES('schema','1');
INSERT INTO "meta" VALUES('reference_ms','1.5');
CREATE TABLE rungs (
    number INTEGER NOT NULL REFERENCES trials (number), step INTEGER NOT NULL,
    miou REAL NOT NULL, PRIMARY KEY (number, step)
) STRICT;
INSERT INTO "rungs" VALUES(3,5,0.2);
CREATE TABLE trials (
    number INTEGER PRIMARY KEY,
    architecture TEXT NOT NULL, schedule TEXT NOT NULL, seed INTEGER NOT NULL,
    point TEXT NOT NULL, network TEXT NOT NULL, purpose TEXT NOT NULL, told TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'running', finished INTEGER UNIQUE, width INTEGER NOT NULL,
    miou REAL, latency_ms REAL, params INTEGER, macs INTEGER, activations INTEGER,
    wall_s REAL, error TEXT NOT NULL DEFAULT '', result TEXT,
    UNIQUE (architecture, schedule, seed)
) STRICT;
INSERT INTO "trials" VALUES(0,'hr-01b2d06c088e','sc-0',0,'[0]','{"stages":[{"modules":1,"block":"BOTTLENECK","blocks":[1],"channels":[16],"fuse":"SUM"},{"modules":1,"block":"BASIC","blocks":[1,1],"channels":[1,2],"fuse":"SUM"},{"modules":1,"block":"BASIC","blocks":[1,1,1],"channels":[1,2,4],"fuse":"SUM"},{"modules":1,"block":"BASIC","blocks":[1,1,1,1],"channels":[1,2,4,8],"fuse":"SUM"}],"head":"seg_hrnet","final_kernel":1,"align_corners":false}','search','[]','failed',1,1,0.0,1.5,1000,2000,3000,1.5,'it ended','{"key":{"architecture":"hr-01b2d06c088e","schedule":"sc-0","seed":0},"status":"failed","cost":{"params":1000,"macs":2000,"activations":3000},"latency":{"ms":1.5,"ratio":1.0,"median_ms":1.5,"p95_ms":2.0,"low_ms":1.4,"high_ms":1.6,"samples":50,"noisy":false,"condition":{"device":"a machine","mode":"eager","precision":"fp32","batch":1,"size":[64,64],"threads":1,"memory_format":"contiguous"},"peak_memory_bytes":null,"machine":[],"ratio_low":0.0,"ratio_high":0.0,"reference_median_ms":0.0,"busy":false},"miou":0.0,"rungs":[{"step":10,"miou":0.0,"iou":[0.0,0.0],"loss":1.25,"miou_present":0.0}],"wall_s":1.5,"error":"it ended","versions":[["torch","2.13.0"]],"notes":[]}');
INSERT INTO "trials" VALUES(1,'hr-370ae6f6b24c','sc-0',0,'[1]','{"stages":[{"modules":1,"block":"BOTTLENECK","blocks":[1],"channels":[16],"fuse":"SUM"},{"modules":1,"block":"BASIC","blocks":[1,1],"channels":[2,4],"fuse":"SUM"},{"modules":1,"block":"BASIC","blocks":[1,1,1],"channels":[2,4,8],"fuse":"SUM"},{"modules":1,"block":"BASIC","blocks":[1,1,1,1],"channels":[2,4,8,16],"fuse":"SUM"}],"head":"seg_hrnet","final_kernel":1,"align_corners":false}','search','[]','completed',0,2,0.01,2.5,1001,2001,3001,1.5,'','{"key":{"architecture":"hr-370ae6f6b24c","schedule":"sc-0","seed":0},"status":"completed","cost":{"params":1001,"macs":2001,"activations":3001},"latency":{"ms":2.5,"ratio":1.0,"median_ms":1.5,"p95_ms":2.0,"low_ms":1.4,"high_ms":1.6,"samples":50,"noisy":false,"condition":{"device":"a machine","mode":"eager","precision":"fp32","batch":1,"size":[64,64],"threads":1,"memory_format":"contiguous"},"peak_memory_bytes":null,"machine":[],"ratio_low":0.0,"ratio_high":0.0,"reference_median_ms":0.0,"busy":false},"miou":0.01,"rungs":[{"step":10,"miou":0.01,"iou":[0.01,0.0],"loss":1.25,"miou_present":0.01}],"wall_s":1.5,"error":"","versions":[["torch","2.13.0"]],"notes":[]}');
INSERT INTO "trials" VALUES(2,'hr-a65a2dfc2f70','sc-0',0,'[2]','{"stages":[{"modules":1,"block":"BOTTLENECK","blocks":[1],"channels":[16],"fuse":"SUM"},{"modules":1,"block":"BASIC","blocks":[1,1],"channels":[3,6],"fuse":"SUM"},{"modules":1,"block":"BASIC","blocks":[1,1,1],"channels":[3,6,12],"fuse":"SUM"},{"modules":1,"block":"BASIC","blocks":[1,1,1,1],"channels":[3,6,12,24],"fuse":"SUM"}],"head":"seg_hrnet","final_kernel":1,"align_corners":false}','search','[]','completed',2,3,0.02,3.5,1002,2002,3002,1.5,'','{"key":{"architecture":"hr-a65a2dfc2f70","schedule":"sc-0","seed":0},"status":"completed","cost":{"params":1002,"macs":2002,"activations":3002},"latency":{"ms":3.5,"ratio":1.0,"median_ms":1.5,"p95_ms":2.0,"low_ms":1.4,"high_ms":1.6,"samples":50,"noisy":false,"condition":{"device":"a machine","mode":"eager","precision":"fp32","batch":1,"size":[64,64],"threads":1,"memory_format":"contiguous"},"peak_memory_bytes":null,"machine":[],"ratio_low":0.0,"ratio_high":0.0,"reference_median_ms":0.0,"busy":false},"miou":0.02,"rungs":[{"step":10,"miou":0.02,"iou":[0.02,0.0],"loss":1.25,"miou_present":0.02}],"wall_s":1.5,"error":"","versions":[["torch","2.13.0"]],"notes":[]}');
INSERT INTO "trials" VALUES(3,'hr-b953c1d1a4f6','sc-0',0,'[3]','{"stages":[{"modules":1,"block":"BOTTLENECK","blocks":[1],"channels":[16],"fuse":"SUM"},{"modules":1,"block":"BASIC","blocks":[1,1],"channels":[4,8],"fuse":"SUM"},{"modules":1,"block":"BASIC","blocks":[1,1,1],"channels":[4,8,16],"fuse":"SUM"},{"modules":1,"block":"BASIC","blocks":[1,1,1,1],"channels":[4,8,16,32],"fuse":"SUM"}],"head":"seg_hrnet","final_kernel":1,"align_corners":false}','search','[]','running',NULL,4,NULL,NULL,NULL,NULL,NULL,NULL,'',NULL);
COMMIT;
