BEGIN TRANSACTION;
CREATE TABLE driver (
    id INTEGER PRIMARY KEY CHECK (id = 1), token TEXT NOT NULL, host TEXT NOT NULL,
    pid INTEGER NOT NULL, started TEXT NOT NULL, since TEXT NOT NULL, expires REAL NOT NULL
) STRICT;
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
INSERT INTO "meta" VALUES('name','first-days');
INSERT INTO "meta" VALUES('tracking','off');
INSERT INTO "meta" VALUES('space_text','name: first-days
base: seg_hrnet_w18_small_v1_sgd_lr5e-2_wd1e-4_bs32_x100.yaml
vary: {width: [2, 4], STAGE3.NUM_MODULES: [1, 2]}
objectives: {miou: max, latency_ms: min}
data: {kind: shapes, size: [32, 32], train: 16, val: 4}
schedule: {steps: 12, batch: 4, crop: [32, 32], seeds: [0]}
latency: {size: [32, 32], seconds: 0.1}
search: {sampler: random, trials: 3, seed: 0}
tracking: {mlflow: "off"}
');
INSERT INTO "meta" VALUES('base_yaml','# architecture hr-f26bae200eec, written by hrnet-search
# the official HRNet library runs it as meant
CUDNN:
  BENCHMARK: true
  DETERMINISTIC: false
  ENABLED: true
GPUS: (0,1,2,3)
OUTPUT_DIR: output
LOG_DIR: log
WORKERS: 4
PRINT_FREQ: 100
DATASET:
  DATASET: cityscapes
  ROOT: data/
  TEST_SET: list/cityscapes/val.lst
  TRAIN_SET: list/cityscapes/train.lst
  NUM_CLASSES: 19
MODEL:
  NAME: seg_hrnet
  ALIGN_CORNERS: false
  PRETRAINED: ''''
  EXTRA:
    FINAL_CONV_KERNEL: 1
    STAGE1:
      NUM_MODULES: 1
      NUM_BRANCHES: 1
      BLOCK: BOTTLENECK
      NUM_BLOCKS: [1]
      NUM_CHANNELS: [32]
      FUSE_METHOD: SUM
    STAGE2:
      NUM_MODULES: 1
      NUM_BRANCHES: 2
      BLOCK: BASIC
      NUM_BLOCKS: [2, 2]
      NUM_CHANNELS: [16, 32]
      FUSE_METHOD: SUM
    STAGE3:
      NUM_MODULES: 1
      NUM_BRANCHES: 3
      BLOCK: BASIC
      NUM_BLOCKS: [2, 2, 2]
      NUM_CHANNELS: [16, 32, 64]
      FUSE_METHOD: SUM
    STAGE4:
      NUM_MODULES: 1
      NUM_BRANCHES: 4
      BLOCK: BASIC
      NUM_BLOCKS: [2, 2, 2, 2]
      NUM_CHANNELS: [16, 32, 64, 128]
      FUSE_METHOD: SUM
LOSS:
  USE_OHEM: false
  OHEMTHRES: 0.9
  OHEMKEEP: 131072
TRAIN:
  IMAGE_SIZE: [1024, 512]
  BASE_SIZE: 2048
  BATCH_SIZE_PER_GPU: 32
  SHUFFLE: true
  BEGIN_EPOCH: 0
  END_EPOCH: 100
  RESUME: true
  OPTIMIZER: sgd
  LR: 0.05
  WD: 0.0001
  MOMENTUM: 0.9
  NESTEROV: false
  FLIP: true
  MULTI_SCALE: true
  DOWNSAMPLERATE: 1
  IGNORE_LABEL: 255
  SCALE_FACTOR: 16
TEST:
  IMAGE_SIZE: [2048, 1024]
  BASE_SIZE: 2048
  BATCH_SIZE_PER_GPU: 4
  FLIP_TEST: false
  MULTI_SCALE: false
');
INSERT INTO "meta" VALUES('objectives','["miou", "latency_ms"]');
INSERT INTO "meta" VALUES('choices','["width", "STAGE3.NUM_MODULES"]');
INSERT INTO "meta" VALUES('levels','[[2, 4], [1, 2]]');
INSERT INTO "meta" VALUES('schedule','{"data": {"kind": "shapes", "classes": 8, "names": [], "ignore": 255, "mapping": [], "size": [32, 32], "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "train": {"images": "", "masks": "", "list": ""}, "val": {"images": "", "masks": "", "list": ""}, "train_images": 16, "val_images": 4, "seed": 0, "root": ""}, "steps": 12, "batch": 4, "crop": [32, 32], "fingerprint": "a5d6af4f694b", "optimiser": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 0.0001, "power": 0.9, "scale": [0.5, 2.0], "flip": true, "precision": "fp32", "init": "none", "id": "sc-c415267ea715"}');
INSERT INTO "meta" VALUES('identity','{"base": "hr-f26bae200eec", "vary": [["width", [2, 4]], ["STAGE3.NUM_MODULES", [1, 2]]], "limits": [], "objectives": ["miou", "latency_ms"], "schedule and data": "sc-c415267ea715", "schedule.seeds": [0], "schedule.rungs": [12], "latency": {"size": [32, 32], "batch": 1, "mode": "auto", "precision": "fp32"}, "search.sampler": "random", "search.seed": 0}');
INSERT INTO "meta" VALUES('study_id','2dd032ff41ad');
INSERT INTO "meta" VALUES('schema','1');
INSERT INTO "meta" VALUES('trials','3');
INSERT INTO "meta" VALUES('device','AMD EPYC');
INSERT INTO "meta" VALUES('reference_ms','44.79661650111666');
CREATE TABLE rungs (
    number INTEGER NOT NULL REFERENCES trials (number), step INTEGER NOT NULL,
    miou REAL NOT NULL, PRIMARY KEY (number, step)
) STRICT;
INSERT INTO "rungs" VALUES(0,12,0.0601806640625);
INSERT INTO "rungs" VALUES(1,12,0.0601806640625);
INSERT INTO "rungs" VALUES(2,12,0.0601806640625);
CREATE TABLE trials (
    number INTEGER PRIMARY KEY,
    architecture TEXT NOT NULL, schedule TEXT NOT NULL, seed INTEGER NOT NULL,
    point TEXT NOT NULL, network TEXT NOT NULL, purpose TEXT NOT NULL, told TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'running', finished INTEGER UNIQUE, width INTEGER NOT NULL,
    miou REAL, latency_ms REAL, params INTEGER, macs INTEGER, activations INTEGER,
    wall_s REAL, error TEXT NOT NULL DEFAULT '', result TEXT,
    UNIQUE (architecture, schedule, seed)
) STRICT;
INSERT INTO "trials" VALUES(0,'hr-118a4841a59f','sc-c415267ea715',0,'[1, 1]','{"stages":[{"modules":1,"block":"BOTTLENECK","blocks":[1],"channels":[32],"fuse":"SUM"},{"modules":1,"block":"BASIC","blocks":[2,2],"channels":[4,8],"fuse":"SUM"},{"modules":2,"block":"BASIC","blocks":[2,2,2],"channels":[4,8,16],"fuse":"SUM"},{"modules":1,"block":"BASIC","blocks":[2,2,2,2],"channels":[4,8,16,32],"fuse":"SUM"}],"head":"seg_hrnet","final_kernel":1,"align_corners":false}','search','[]','completed',0,4,0.0601806640625,4.35620017166432589323e+01,182028,5528640,54556,4.44375091399997472745e+01,'','{"key":{"architecture":"hr-118a4841a59f","schedule":"sc-c415267ea715","seed":0},"status":"completed","cost":{"params":182028,"macs":5528640,"activations":54556},"latency":{"ms":43.56200171664326,"ratio":0.9724395527853622,"median_ms":52.168556499964325,"p95_ms":74.53146619918697,"low_ms":42.12210200057598,"high_ms":77.8829359987867,"samples":4,"noisy":true,"condition":{"device":"AMD EPYC","mode":"eager","precision":"fp32","batch":1,"size":[32,32],"threads":1,"memory_format":"contiguous"},"peak_memory_bytes":null,"machine":[["cpu","AMD EPYC"],["cores","2"],["system","Linux-6.18.44-fc-v782-x86_64-with-glibc2.36"],["load_before","9.36"],["load_after","9.36"],["cpu_share_of_others","0.920"]],"ratio_low":0.9421951652609036,"ratio_high":1.0026839403098209,"reference_median_ms":60.83464499897673,"busy":true},"miou":0.0601806640625,"rungs":[{"step":12,"miou":0.0601806640625,"iou":[0.4814453125,0.0,0.0,0.0,0.0,0.0,0.0,0.0],"loss":1.682965636253357,"miou_present":0.0601806640625}],"wall_s":44.43750913999975,"error":"","versions":[["python","3.11.7"],["hrnet-search","0.1.0"],["torch","2.13.0+cpu"],["numpy","2.4.6"]],"notes":[]}');
INSERT INTO "trials" VALUES(1,'hr-8134d8afdcd4','sc-c415267ea715',0,'[0, 1]','{"stages":[{"modules":1,"block":"BOTTLENECK","blocks":[1],"channels":[32],"fuse":"SUM"},{"modules":1,"block":"BASIC","blocks":[2,2],"channels":[2,4],"fuse":"SUM"},{"modules":2,"block":"BASIC","blocks":[2,2,2],"channels":[2,4,8],"fuse":"SUM"},{"modules":1,"block":"BASIC","blocks":[2,2,2,2],"channels":[2,4,8,16],"fuse":"SUM"}],"head":"seg_hrnet","final_kernel":1,"align_corners":false}','search','[0]','completed',1,2,0.0601806640625,3.04793056811097322626e+01,96866,4732176,48014,1.92913412979978602379e+01,'','{"key":{"architecture":"hr-8134d8afdcd4","schedule":"sc-c415267ea715","seed":0},"status":"completed","cost":{"params":96866,"macs":4732176,"activations":48014},"latency":{"ms":30.479305681109732,"ratio":0.6803930310305906,"median_ms":72.59554250049405,"p95_ms":79.27722400308994,"low_ms":54.93278399808332,"high_ms":79.85986600397155,"samples":4,"noisy":true,"condition":{"device":"AMD EPYC","mode":"eager","precision":"fp32","batch":1,"size":[32,32],"threads":1,"memory_format":"contiguous"},"peak_memory_bytes":null,"machine":[["cpu","AMD EPYC"],["cores","2"],["system","Linux-6.18.44-fc-v782-x86_64-with-glibc2.36"],["load_before","11.20"],["load_after","11.20"],["cpu_share_of_others","0.927"]],"ratio_low":0.6771387426555275,"ratio_high":0.6836473194056535,"reference_median_ms":103.18761599774007,"busy":true},"miou":0.0601806640625,"rungs":[{"step":12,"miou":0.0601806640625,"iou":[0.4814453125,0.0,0.0,0.0,0.0,0.0,0.0,0.0],"loss":1.7096692323684692,"miou_present":0.0601806640625}],"wall_s":19.29134129799786,"error":"","versions":[["python","3.11.7"],["hrnet-search","0.1.0"],["torch","2.13.0+cpu"],["numpy","2.4.6"]],"notes":[]}');
INSERT INTO "trials" VALUES(2,'hr-21faf3c31753','sc-c415267ea715',0,'[1, 0]','{"stages":[{"modules":1,"block":"BOTTLENECK","blocks":[1],"channels":[32],"fuse":"SUM"},{"modules":1,"block":"BASIC","blocks":[2,2],"channels":[4,8],"fuse":"SUM"},{"modules":1,"block":"BASIC","blocks":[2,2,2],"channels":[4,8,16],"fuse":"SUM"},{"modules":1,"block":"BASIC","blocks":[2,2,2,2],"channels":[4,8,16,32],"fuse":"SUM"}],"head":"seg_hrnet","final_kernel":1,"align_corners":false}','search','[1]','completed',2,4,0.0601806640625,23.2887888312375,167204,5402944,52332,9.20573990199773106724e+00,'','{"key":{"architecture":"hr-21faf3c31753","schedule":"sc-c415267ea715","seed":0},"status":"completed","cost":{"params":167204,"macs":5402944,"activations":52332},"latency":{"ms":23.2887888312375,"ratio":0.5198782999751103,"median_ms":53.50636250295793,"p95_ms":86.59495485044317,"low_ms":24.443433998385444,"high_ms":88.72429199982435,"samples":4,"noisy":true,"condition":{"device":"AMD EPYC","mode":"eager","precision":"fp32","batch":1,"size":[32,32],"threads":1,"memory_format":"contiguous"},"peak_memory_bytes":null,"machine":[["cpu","AMD EPYC"],["cores","2"],["system","Linux-6.18.44-fc-v782-x86_64-with-glibc2.36"],["load_before","11.11"],["load_after","11.11"],["cpu_share_of_others","0.917"]],"ratio_low":0.34258285316099235,"ratio_high":0.6971737467892282,"reference_median_ms":97.84364649749477,"busy":true},"miou":0.0601806640625,"rungs":[{"step":12,"miou":0.0601806640625,"iou":[0.4814453125,0.0,0.0,0.0,0.0,0.0,0.0,0.0],"loss":1.6330922842025757,"miou_present":0.0601806640625}],"wall_s":9.205739901997731,"error":"","versions":[["python","3.11.7"],["hrnet-search","0.1.0"],["torch","2.13.0+cpu"],["numpy","2.4.6"]],"notes":[]}');
COMMIT;
