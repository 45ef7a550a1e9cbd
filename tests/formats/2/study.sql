BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('v3.2.0.a');
CREATE TABLE studies (
	study_id INTEGER NOT NULL, 
	study_name VARCHAR(512) NOT NULL, 
	PRIMARY KEY (study_id)
);
INSERT INTO "studies" VALUES(1,'demo');
CREATE TABLE study_directions (
	study_direction_id INTEGER NOT NULL, 
	direction VARCHAR(8) NOT NULL, 
	study_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	PRIMARY KEY (study_direction_id), 
	UNIQUE (study_id, objective), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_directions" VALUES(1,'MAXIMIZE',1,0);
INSERT INTO "study_directions" VALUES(2,'MINIMIZE',1,1);
CREATE TABLE study_system_attributes (
	study_system_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_system_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_system_attributes" VALUES(1,1,'study:metric_names','["accuracy", "gpu_hours"]');
CREATE TABLE study_user_attributes (
	study_user_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_user_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_user_attributes" VALUES(1,1,'device','"simulated GPU"');
INSERT INTO "study_user_attributes" VALUES(2,1,'base','{"id": "simulated", "revision": "0", "origin": "formulas"}');
INSERT INTO "study_user_attributes" VALUES(3,1,'over_long','{}');
INSERT INTO "study_user_attributes" VALUES(4,1,'versions','{}');
INSERT INTO "study_user_attributes" VALUES(5,1,'parameters','7000000000');
INSERT INTO "study_user_attributes" VALUES(6,1,'smoke','{"alpha": {"items": 20, "malformed": 0, "prompt": "a rule\nand a question of alpha?", "answer": "42", "why": ""}, "beta": {"items": 20, "malformed": 0, "prompt": "a rule\nand a question of beta?", "answer": "42", "why": ""}}');
INSERT INTO "study_user_attributes" VALUES(7,1,'seconds_base-search','0.6');
INSERT INTO "study_user_attributes" VALUES(8,1,'plan','{"budget_s": 500.0, "load_s": 64.95610624, "search_s": 118.61883248639992, "final_train_s": 292.74506127360013, "final_eval_s": 5.5440000000000005, "export_s": 5.0, "margin_s": 9.0, "rungs": [6144, 18432, 55296], "bracket": 8, "reason": "the search ends: a further trial may lower the final run''s loss by 0.0012, no more than the 0.0019 that its 9s would bring to it (16 trials so far)", "least_final_s": 82.27277875200002, "finalists_s": 1.76, "heldout_s": 2.3760000000000003}');
INSERT INTO "study_user_attributes" VALUES(9,1,'rank_correlation','{"0": {"spearman": 0.429, "accuracy_spearman": null, "n": 6}, "1": {"spearman": 0.829, "accuracy_spearman": null, "n": 6}}');
INSERT INTO "study_user_attributes" VALUES(10,1,'bracket_1','8');
INSERT INTO "study_user_attributes" VALUES(11,1,'search_end','{"search_on": false, "search_gain": 0.0011969108914776717, "final_gain": 0.0018656974454747122, "reason": "the search ends: a further trial may lower the final run''s loss by 0.0012, no more than the 0.0019 that its 9s would bring to it (16 trials so far)"}');
INSERT INTO "study_user_attributes" VALUES(12,1,'seconds_12-finalists','0.4');
INSERT INTO "study_user_attributes" VALUES(13,1,'seconds_11-finalists','0.4');
INSERT INTO "study_user_attributes" VALUES(14,1,'seconds_2-finalists','0.4');
INSERT INTO "study_user_attributes" VALUES(15,1,'seconds_14-finalists','0.4');
INSERT INTO "study_user_attributes" VALUES(16,1,'seconds_0-finalists','0.4');
INSERT INTO "study_user_attributes" VALUES(17,1,'seconds_7-finalists','0.4');
INSERT INTO "study_user_attributes" VALUES(18,1,'finalists','[12, 11, 2, 14, 0, 7]');
INSERT INTO "study_user_attributes" VALUES(19,1,'winner_reason','"trial 12: accuracy 0.000, loss 2.128 on 8 fresh items, the lowest loss among 6 finalists whose accuracy the paired test cannot tell apart, and the most accurate (+0.000 \u00b1 0.000 against the next, trial 11)"');
INSERT INTO "study_user_attributes" VALUES(20,1,'winner','12');
INSERT INTO "study_user_attributes" VALUES(21,1,'seconds_base-final','0.6');
INSERT INTO "study_user_attributes" VALUES(22,1,'seconds_base-heldout','0.3');
INSERT INTO "study_user_attributes" VALUES(23,1,'seconds_0-final','0.6');
INSERT INTO "study_user_attributes" VALUES(24,1,'seconds_0-heldout','0.3');
INSERT INTO "study_user_attributes" VALUES(25,1,'seconds_12-heldout','0.3');
INSERT INTO "study_user_attributes" VALUES(26,1,'seconds_11-heldout','0.3');
INSERT INTO "study_user_attributes" VALUES(27,1,'seconds_2-heldout','0.3');
INSERT INTO "study_user_attributes" VALUES(28,1,'seconds_14-heldout','0.3');
INSERT INTO "study_user_attributes" VALUES(29,1,'seconds_7-heldout','0.3');
INSERT INTO "study_user_attributes" VALUES(30,1,'forecast_final','{"accuracy": 0.020000000000000004, "low": 0.0, "high": 1.0, "gpu_hours": 0.08678661407246226}');
INSERT INTO "study_user_attributes" VALUES(31,1,'final_schedule','{"warmup_steps": 4, "decay_start": 4261, "total_steps": 5681}');
INSERT INTO "study_user_attributes" VALUES(32,1,'final_trained','{"steps": 5159, "tokens": 1320704, "train_s": 297.592, "loss": 1.2657503854435215, "warmup_steps": 4, "decay_start": 3739, "total_steps": 5159, "shares": {"chain_sum": 0.63716, "aiw": 0.22688, "word_sequence_reversal": 0.12982, "family_relationships": 0.00614}, "passes": {"chain_sum": 1.0, "aiw": 1.0, "word_sequence_reversal": 1.0, "family_relationships": 1.0}, "curve": [[6144, 2.834185670396952], [18432, 2.7836105251677323], [55296, 2.6458155638781022], [1320704, 1.2657503854435215]], "peak_memory_gib": 10.703, "tokens_per_s": 4252.2}');
INSERT INTO "study_user_attributes" VALUES(33,1,'final_exported','true');
INSERT INTO "study_user_attributes" VALUES(34,1,'seconds_final-final','0.6');
INSERT INTO "study_user_attributes" VALUES(35,1,'seconds_final-heldout','0.3');
CREATE TABLE trial_heartbeats (
	trial_heartbeat_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	heartbeat DATETIME NOT NULL, 
	PRIMARY KEY (trial_heartbeat_id), 
	UNIQUE (trial_id), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_intermediate_values (
	trial_intermediate_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	intermediate_value FLOAT, 
	intermediate_value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_intermediate_value_id), 
	UNIQUE (trial_id, step), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_params (
	param_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	param_name VARCHAR(512), 
	param_value FLOAT, 
	distribution_json TEXT, 
	PRIMARY KEY (param_id), 
	UNIQUE (trial_id, param_name), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_params" VALUES(1,1,'rank',16.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 4, "high": 64}}');
INSERT INTO "trial_params" VALUES(2,1,'alpha_ratio',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [1, 2]}}');
INSERT INTO "trial_params" VALUES(3,1,'mixture_aiw',0.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(4,1,'mixture_chain_sum',0.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(5,1,'mixture_family_relationships',0.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(6,1,'mixture_word_sequence_reversal',0.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(7,1,'targets',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["attention", "all-linear"]}}');
INSERT INTO "trial_params" VALUES(8,1,'quantization',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["bf16", "int8", "nf4"]}}');
INSERT INTO "trial_params" VALUES(9,1,'packing',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [true, false]}}');
INSERT INTO "trial_params" VALUES(10,1,'max_length',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [256]}}');
INSERT INTO "trial_params" VALUES(11,1,'learning_rate',0.0002,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.005, "log": true}}');
INSERT INTO "trial_params" VALUES(12,1,'tokens_per_step',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [256, 512]}}');
INSERT INTO "trial_params" VALUES(13,2,'rank',16.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 4, "high": 64}}');
INSERT INTO "trial_params" VALUES(14,2,'alpha_ratio',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [1, 2]}}');
INSERT INTO "trial_params" VALUES(15,2,'mixture_aiw',0.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(16,2,'mixture_chain_sum',0.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(17,2,'mixture_family_relationships',0.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(18,2,'mixture_word_sequence_reversal',0.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(19,2,'targets',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["attention", "all-linear"]}}');
INSERT INTO "trial_params" VALUES(20,2,'quantization',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["bf16", "int8", "nf4"]}}');
INSERT INTO "trial_params" VALUES(21,2,'packing',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [true, false]}}');
INSERT INTO "trial_params" VALUES(22,2,'max_length',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [256]}}');
INSERT INTO "trial_params" VALUES(23,2,'learning_rate',0.001,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.005, "log": true}}');
INSERT INTO "trial_params" VALUES(24,2,'tokens_per_step',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [256, 512]}}');
INSERT INTO "trial_params" VALUES(25,3,'rank',16.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 4, "high": 64}}');
INSERT INTO "trial_params" VALUES(26,3,'alpha_ratio',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [1, 2]}}');
INSERT INTO "trial_params" VALUES(27,3,'mixture_aiw',0.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(28,3,'mixture_chain_sum',0.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(29,3,'mixture_family_relationships',0.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(30,3,'mixture_word_sequence_reversal',0.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(31,3,'targets',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["attention", "all-linear"]}}');
INSERT INTO "trial_params" VALUES(32,3,'quantization',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["bf16", "int8", "nf4"]}}');
INSERT INTO "trial_params" VALUES(33,3,'packing',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [true, false]}}');
INSERT INTO "trial_params" VALUES(34,3,'max_length',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [256]}}');
INSERT INTO "trial_params" VALUES(35,3,'learning_rate',0.0006,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.005, "log": true}}');
INSERT INTO "trial_params" VALUES(36,3,'tokens_per_step',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [256, 512]}}');
INSERT INTO "trial_params" VALUES(37,4,'rank',16.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 4, "high": 64}}');
INSERT INTO "trial_params" VALUES(38,4,'alpha_ratio',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [1, 2]}}');
INSERT INTO "trial_params" VALUES(39,4,'mixture_aiw',0.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(40,4,'mixture_chain_sum',0.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(41,4,'mixture_family_relationships',0.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(42,4,'mixture_word_sequence_reversal',0.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(43,4,'targets',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["attention", "all-linear"]}}');
INSERT INTO "trial_params" VALUES(44,4,'quantization',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["bf16", "int8", "nf4"]}}');
INSERT INTO "trial_params" VALUES(45,4,'packing',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [true, false]}}');
INSERT INTO "trial_params" VALUES(46,4,'max_length',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [256]}}');
INSERT INTO "trial_params" VALUES(47,4,'learning_rate',0.0015,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.005, "log": true}}');
INSERT INTO "trial_params" VALUES(48,4,'tokens_per_step',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [256, 512]}}');
INSERT INTO "trial_params" VALUES(49,5,'rank',14.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 4, "high": 64}}');
INSERT INTO "trial_params" VALUES(50,5,'alpha_ratio',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [1, 2]}}');
INSERT INTO "trial_params" VALUES(51,5,'mixture_aiw',-1.85099639557620498919e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(52,5,'mixture_chain_sum',2.17432383140995888481e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(53,5,'mixture_family_relationships',-3.22375281964483839658e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(54,5,'mixture_word_sequence_reversal',-5.04751503551166713634e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(55,5,'targets',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["attention", "all-linear"]}}');
INSERT INTO "trial_params" VALUES(56,5,'quantization',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["bf16", "int8", "nf4"]}}');
INSERT INTO "trial_params" VALUES(57,5,'packing',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [true, false]}}');
INSERT INTO "trial_params" VALUES(58,5,'max_length',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [256]}}');
INSERT INTO "trial_params" VALUES(59,5,'learning_rate',9.02861718208067915922e-04,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.005, "log": true}}');
INSERT INTO "trial_params" VALUES(60,5,'tokens_per_step',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [256, 512]}}');
INSERT INTO "trial_params" VALUES(61,6,'rank',14.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 4, "high": 64}}');
INSERT INTO "trial_params" VALUES(62,6,'alpha_ratio',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [1, 2]}}');
INSERT INTO "trial_params" VALUES(63,6,'mixture_aiw',-1.96105502867010894618e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(64,6,'mixture_chain_sum',-8.47101997058033351351e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(65,6,'mixture_family_relationships',2.16740363793901202882e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(66,6,'mixture_word_sequence_reversal',-1.9042540547873887391e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(67,6,'targets',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["attention", "all-linear"]}}');
INSERT INTO "trial_params" VALUES(68,6,'quantization',2.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["bf16", "int8", "nf4"]}}');
INSERT INTO "trial_params" VALUES(69,6,'packing',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [true, false]}}');
INSERT INTO "trial_params" VALUES(70,6,'max_length',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [256]}}');
INSERT INTO "trial_params" VALUES(71,6,'learning_rate',1.83995054537522319954e-03,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.005, "log": true}}');
INSERT INTO "trial_params" VALUES(72,6,'tokens_per_step',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [256, 512]}}');
INSERT INTO "trial_params" VALUES(73,7,'rank',8.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 4, "high": 64}}');
INSERT INTO "trial_params" VALUES(74,7,'alpha_ratio',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [1, 2]}}');
INSERT INTO "trial_params" VALUES(75,7,'mixture_aiw',-2.05857136601149903754e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(76,7,'mixture_chain_sum',1.55052420656752421024e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(77,7,'mixture_family_relationships',-4.80936416180000048115e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(78,7,'mixture_word_sequence_reversal',-5.00464153049846594001e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(79,7,'targets',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["attention", "all-linear"]}}');
INSERT INTO "trial_params" VALUES(80,7,'quantization',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["bf16", "int8", "nf4"]}}');
INSERT INTO "trial_params" VALUES(81,7,'packing',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [true, false]}}');
INSERT INTO "trial_params" VALUES(82,7,'max_length',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [256]}}');
INSERT INTO "trial_params" VALUES(83,7,'learning_rate',3.63087629821655160852e-03,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.005, "log": true}}');
INSERT INTO "trial_params" VALUES(84,7,'tokens_per_step',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [256, 512]}}');
INSERT INTO "trial_params" VALUES(85,8,'rank',7.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 4, "high": 64}}');
INSERT INTO "trial_params" VALUES(86,8,'alpha_ratio',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [1, 2]}}');
INSERT INTO "trial_params" VALUES(87,8,'mixture_aiw',1.94711659894595712216e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(88,8,'mixture_chain_sum',6.44003258776906672977e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(89,8,'mixture_family_relationships',-2.15739072348221361252e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(90,8,'mixture_word_sequence_reversal',0.839995159831044,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(91,8,'targets',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["attention", "all-linear"]}}');
INSERT INTO "trial_params" VALUES(92,8,'quantization',2.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["bf16", "int8", "nf4"]}}');
INSERT INTO "trial_params" VALUES(93,8,'packing',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [true, false]}}');
INSERT INTO "trial_params" VALUES(94,8,'max_length',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [256]}}');
INSERT INTO "trial_params" VALUES(95,8,'learning_rate',4.36962504181110213477e-04,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.005, "log": true}}');
INSERT INTO "trial_params" VALUES(96,8,'tokens_per_step',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [256, 512]}}');
INSERT INTO "trial_params" VALUES(97,9,'rank',10.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 4, "high": 64}}');
INSERT INTO "trial_params" VALUES(98,9,'alpha_ratio',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [1, 2]}}');
INSERT INTO "trial_params" VALUES(99,9,'mixture_aiw',1.23208912462392738973e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(100,9,'mixture_chain_sum',-0.865323790073319,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(101,9,'mixture_family_relationships',-0.528658716792586,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(102,9,'mixture_word_sequence_reversal',-1.27222868591131677007e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(103,9,'targets',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["attention", "all-linear"]}}');
INSERT INTO "trial_params" VALUES(104,9,'quantization',2.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["bf16", "int8", "nf4"]}}');
INSERT INTO "trial_params" VALUES(105,9,'packing',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [true, false]}}');
INSERT INTO "trial_params" VALUES(106,9,'max_length',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [256]}}');
INSERT INTO "trial_params" VALUES(107,9,'learning_rate',1.22866586430402970064e-03,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.005, "log": true}}');
INSERT INTO "trial_params" VALUES(108,9,'tokens_per_step',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [256, 512]}}');
INSERT INTO "trial_params" VALUES(109,10,'rank',14.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 4, "high": 64}}');
INSERT INTO "trial_params" VALUES(110,10,'alpha_ratio',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [1, 2]}}');
INSERT INTO "trial_params" VALUES(111,10,'mixture_aiw',5.66623599498763841353e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(112,10,'mixture_chain_sum',1.34752631242532228128e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(113,10,'mixture_family_relationships',-2.37179269235948,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(114,10,'mixture_word_sequence_reversal',5.20000498812112077473e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(115,10,'targets',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["attention", "all-linear"]}}');
INSERT INTO "trial_params" VALUES(116,10,'quantization',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["bf16", "int8", "nf4"]}}');
INSERT INTO "trial_params" VALUES(117,10,'packing',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [true, false]}}');
INSERT INTO "trial_params" VALUES(118,10,'max_length',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [256]}}');
INSERT INTO "trial_params" VALUES(119,10,'learning_rate',2.82974116742802401115e-04,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.005, "log": true}}');
INSERT INTO "trial_params" VALUES(120,10,'tokens_per_step',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [256, 512]}}');
INSERT INTO "trial_params" VALUES(121,11,'rank',4.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 4, "high": 64}}');
INSERT INTO "trial_params" VALUES(122,11,'alpha_ratio',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [1, 2]}}');
INSERT INTO "trial_params" VALUES(123,11,'mixture_aiw',1.2681658961281927489e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(124,11,'mixture_chain_sum',1.34752631242532228128e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(125,11,'mixture_family_relationships',-2.23983458422135539578e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(126,11,'mixture_word_sequence_reversal',-2.00065725339463984511e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(127,11,'targets',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["attention", "all-linear"]}}');
INSERT INTO "trial_params" VALUES(128,11,'quantization',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["bf16", "int8", "nf4"]}}');
INSERT INTO "trial_params" VALUES(129,11,'packing',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [true, false]}}');
INSERT INTO "trial_params" VALUES(130,11,'max_length',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [256]}}');
INSERT INTO "trial_params" VALUES(131,11,'learning_rate',0.000295576128775577,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.005, "log": true}}');
INSERT INTO "trial_params" VALUES(132,11,'tokens_per_step',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [256, 512]}}');
INSERT INTO "trial_params" VALUES(133,12,'rank',23.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 4, "high": 64}}');
INSERT INTO "trial_params" VALUES(134,12,'alpha_ratio',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [1, 2]}}');
INSERT INTO "trial_params" VALUES(135,12,'mixture_aiw',2.14576830525737705102e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(136,12,'mixture_chain_sum',2.20049515408795937077e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(137,12,'mixture_family_relationships',-2.28211829496819307294e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(138,12,'mixture_word_sequence_reversal',2.5,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(139,12,'targets',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["attention", "all-linear"]}}');
INSERT INTO "trial_params" VALUES(140,12,'quantization',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["bf16", "int8", "nf4"]}}');
INSERT INTO "trial_params" VALUES(141,12,'packing',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [true, false]}}');
INSERT INTO "trial_params" VALUES(142,12,'max_length',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [256]}}');
INSERT INTO "trial_params" VALUES(143,12,'learning_rate',3.91829971653204895114e-04,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.005, "log": true}}');
INSERT INTO "trial_params" VALUES(144,12,'tokens_per_step',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [256, 512]}}');
INSERT INTO "trial_params" VALUES(145,13,'rank',45.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 4, "high": 64}}');
INSERT INTO "trial_params" VALUES(146,13,'alpha_ratio',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [1, 2]}}');
INSERT INTO "trial_params" VALUES(147,13,'mixture_aiw',1.1679112467662,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(148,13,'mixture_chain_sum',2.20049515408795937077e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(149,13,'mixture_family_relationships',-2.44223472634870075737e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(150,13,'mixture_word_sequence_reversal',6.09605857461076539038e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(151,13,'targets',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["attention", "all-linear"]}}');
INSERT INTO "trial_params" VALUES(152,13,'quantization',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["bf16", "int8", "nf4"]}}');
INSERT INTO "trial_params" VALUES(153,13,'packing',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [true, false]}}');
INSERT INTO "trial_params" VALUES(154,13,'max_length',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [256]}}');
INSERT INTO "trial_params" VALUES(155,13,'learning_rate',3.91829971653204895114e-04,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.005, "log": true}}');
INSERT INTO "trial_params" VALUES(156,13,'tokens_per_step',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [256, 512]}}');
INSERT INTO "trial_params" VALUES(157,14,'rank',55.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 4, "high": 64}}');
INSERT INTO "trial_params" VALUES(158,14,'alpha_ratio',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [1, 2]}}');
INSERT INTO "trial_params" VALUES(159,14,'mixture_aiw',2.03168715005157984876e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(160,14,'mixture_chain_sum',-2.31645672137568459092e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(161,14,'mixture_family_relationships',5.38995779044355138864e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(162,14,'mixture_word_sequence_reversal',2.28725397978708944179e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(163,14,'targets',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["attention", "all-linear"]}}');
INSERT INTO "trial_params" VALUES(164,14,'quantization',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["bf16", "int8", "nf4"]}}');
INSERT INTO "trial_params" VALUES(165,14,'packing',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [true, false]}}');
INSERT INTO "trial_params" VALUES(166,14,'max_length',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [256]}}');
INSERT INTO "trial_params" VALUES(167,14,'learning_rate',3.00321374569900527689e-04,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.005, "log": true}}');
INSERT INTO "trial_params" VALUES(168,14,'tokens_per_step',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [256, 512]}}');
INSERT INTO "trial_params" VALUES(169,15,'rank',64.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 4, "high": 64}}');
INSERT INTO "trial_params" VALUES(170,15,'alpha_ratio',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [1, 2]}}');
INSERT INTO "trial_params" VALUES(171,15,'mixture_aiw',-1.20460625405578403146e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(172,15,'mixture_chain_sum',1.08866245176057940824e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(173,15,'mixture_family_relationships',6.15363457251682621773e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(174,15,'mixture_word_sequence_reversal',-1.73439208007910061759e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(175,15,'targets',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["attention", "all-linear"]}}');
INSERT INTO "trial_params" VALUES(176,15,'quantization',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["bf16", "int8", "nf4"]}}');
INSERT INTO "trial_params" VALUES(177,15,'packing',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [true, false]}}');
INSERT INTO "trial_params" VALUES(178,15,'max_length',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [256]}}');
INSERT INTO "trial_params" VALUES(179,15,'learning_rate',0.000345544344563091,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.005, "log": true}}');
INSERT INTO "trial_params" VALUES(180,15,'tokens_per_step',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [256, 512]}}');
INSERT INTO "trial_params" VALUES(181,16,'rank',64.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 4, "high": 64}}');
INSERT INTO "trial_params" VALUES(182,16,'alpha_ratio',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [1, 2]}}');
INSERT INTO "trial_params" VALUES(183,16,'mixture_aiw',-1.49862158189068095381e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(184,16,'mixture_chain_sum',2.29333388536535931478e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(185,16,'mixture_family_relationships',-2.5,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(186,16,'mixture_word_sequence_reversal',8.40165493378581818006e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.5, "high": 2.5, "log": false}}');
INSERT INTO "trial_params" VALUES(187,16,'targets',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["attention", "all-linear"]}}');
INSERT INTO "trial_params" VALUES(188,16,'quantization',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["bf16", "int8", "nf4"]}}');
INSERT INTO "trial_params" VALUES(189,16,'packing',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [true, false]}}');
INSERT INTO "trial_params" VALUES(190,16,'max_length',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [256]}}');
INSERT INTO "trial_params" VALUES(191,16,'learning_rate',3.89144381381496492523e-04,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.005, "log": true}}');
INSERT INTO "trial_params" VALUES(192,16,'tokens_per_step',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [256, 512]}}');
CREATE TABLE trial_system_attributes (
	trial_system_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_system_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_user_attributes (
	trial_user_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_user_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_user_attributes" VALUES(1,1,'recipe','{"rank": 16, "alpha": 32, "targets": "all-linear", "quantization": "bf16", "packing": true, "max_length": 256, "learning_rate": 0.0002, "tokens_per_step": 512, "mixture": {"chain_sum": 0.25, "aiw": 0.25, "word_sequence_reversal": 0.25, "family_relationships": 0.25}}');
INSERT INTO "trial_user_attributes" VALUES(2,1,'bracket','0');
INSERT INTO "trial_user_attributes" VALUES(3,1,'origin','"expert default: rank 16, alpha 32, all layers, 2e-4: what most trainers ship with"');
INSERT INTO "trial_user_attributes" VALUES(4,1,'reason','"complete: reached the top rung"');
INSERT INTO "trial_user_attributes" VALUES(5,1,'control','true');
INSERT INTO "trial_user_attributes" VALUES(6,1,'share_chain_sum','0.25');
INSERT INTO "trial_user_attributes" VALUES(7,1,'share_aiw','0.25');
INSERT INTO "trial_user_attributes" VALUES(8,1,'share_word_sequence_reversal','0.25');
INSERT INTO "trial_user_attributes" VALUES(9,1,'share_family_relationships','0.25');
INSERT INTO "trial_user_attributes" VALUES(10,1,'train_seconds','12.82');
INSERT INTO "trial_user_attributes" VALUES(11,1,'curve','[[1536, 2.9005318334326544], [6144, 2.886439394863089], [18432, 2.8497858561521494], [55296, 2.747275798089233]]');
INSERT INTO "trial_user_attributes" VALUES(12,1,'peak_memory_gib','10.25');
INSERT INTO "trial_user_attributes" VALUES(13,1,'rungs','[{"rung": 0, "tokens": 6144, "step": 12, "accuracy": 0.0, "stderr": 0.0743452142666476, "loss": 2.71652566994835, "per_task": {"alpha": 0.0, "beta": 0.0}, "train_s": 1.424, "eval_s": 0.6}, {"rung": 1, "tokens": 18432, "step": 36, "accuracy": 0.0, "stderr": 0.0743452142666476, "loss": 2.679861654693758, "per_task": {"alpha": 0.0, "beta": 0.0}, "train_s": 4.273, "eval_s": 1.2}, {"rung": 2, "tokens": 55296, "step": 108, "accuracy": 0.0, "stderr": 0.0743452142666476, "loss": 2.5753474451677105, "per_task": {"alpha": 0.0, "beta": 0.0}, "train_s": 12.82, "eval_s": 1.8}]');
INSERT INTO "trial_user_attributes" VALUES(14,2,'recipe','{"rank": 16, "alpha": 32, "targets": "all-linear", "quantization": "bf16", "packing": true, "max_length": 256, "learning_rate": 0.001, "tokens_per_step": 512, "mixture": {"chain_sum": 0.25, "aiw": 0.25, "word_sequence_reversal": 0.25, "family_relationships": 0.25}}');
INSERT INTO "trial_user_attributes" VALUES(15,2,'bracket','0');
INSERT INTO "trial_user_attributes" VALUES(16,2,'origin','"expert short-run: LoRA''s best rate rises in short runs"');
INSERT INTO "trial_user_attributes" VALUES(17,2,'reason','"pruned: beaten by trial 2 by 0.186 \u00b1 0.024 nats on the same items, z 7.9 (loss 2.901 \u00b1 0.258 on 12 items, place 5 of 8)"');
INSERT INTO "trial_user_attributes" VALUES(18,2,'control','false');
INSERT INTO "trial_user_attributes" VALUES(19,2,'share_chain_sum','0.25');
INSERT INTO "trial_user_attributes" VALUES(20,2,'share_aiw','0.25');
INSERT INTO "trial_user_attributes" VALUES(21,2,'share_word_sequence_reversal','0.25');
INSERT INTO "trial_user_attributes" VALUES(22,2,'share_family_relationships','0.25');
INSERT INTO "trial_user_attributes" VALUES(23,2,'train_seconds','1.424');
INSERT INTO "trial_user_attributes" VALUES(24,2,'curve','[[6144, 3.0914842071306206]]');
INSERT INTO "trial_user_attributes" VALUES(25,2,'peak_memory_gib','10.25');
INSERT INTO "trial_user_attributes" VALUES(26,2,'rungs','[{"rung": 0, "tokens": 6144, "step": 12, "accuracy": 0.0, "stderr": 0.0743452142666476, "loss": 2.9014291151235545, "per_task": {"alpha": 0.0, "beta": 0.0}, "train_s": 1.424, "eval_s": 0.6}]');
INSERT INTO "trial_user_attributes" VALUES(27,3,'recipe','{"rank": 16, "alpha": 32, "targets": "all-linear", "quantization": "bf16", "packing": true, "max_length": 256, "learning_rate": 0.0006, "tokens_per_step": 256, "mixture": {"chain_sum": 0.25, "aiw": 0.25, "word_sequence_reversal": 0.25, "family_relationships": 0.25}}');
INSERT INTO "trial_user_attributes" VALUES(28,3,'bracket','0');
INSERT INTO "trial_user_attributes" VALUES(29,3,'origin','"expert small-steps: short runs gain from more, smaller steps"');
INSERT INTO "trial_user_attributes" VALUES(30,3,'reason','"complete: reached the top rung"');
INSERT INTO "trial_user_attributes" VALUES(31,3,'control','false');
INSERT INTO "trial_user_attributes" VALUES(32,3,'share_chain_sum','0.25');
INSERT INTO "trial_user_attributes" VALUES(33,3,'share_aiw','0.25');
INSERT INTO "trial_user_attributes" VALUES(34,3,'share_word_sequence_reversal','0.25');
INSERT INTO "trial_user_attributes" VALUES(35,3,'share_family_relationships','0.25');
INSERT INTO "trial_user_attributes" VALUES(36,3,'train_seconds','12.82');
INSERT INTO "trial_user_attributes" VALUES(37,3,'curve','[[6144, 2.8981671016272603], [18432, 2.836316207605055], [55296, 2.6713008192737693]]');
INSERT INTO "trial_user_attributes" VALUES(38,3,'peak_memory_gib','10.25');
INSERT INTO "trial_user_attributes" VALUES(39,3,'rungs','[{"rung": 0, "tokens": 6144, "step": 24, "accuracy": 0.0, "stderr": 0.0743452142666476, "loss": 2.715047579288603, "per_task": {"alpha": 0.0, "beta": 0.0}, "train_s": 1.424, "eval_s": 0.6}, {"rung": 1, "tokens": 18432, "step": 72, "accuracy": 0.0, "stderr": 0.0743452142666476, "loss": 2.672135835286996, "per_task": {"alpha": 0.0, "beta": 0.0}, "train_s": 4.273, "eval_s": 1.2}, {"rung": 2, "tokens": 55296, "step": 216, "accuracy": 0.0, "stderr": 0.0743452142666476, "loss": 2.5128833646446465, "per_task": {"alpha": 0.0, "beta": 0.0}, "train_s": 12.82, "eval_s": 1.8}]');
INSERT INTO "trial_user_attributes" VALUES(40,4,'recipe','{"rank": 16, "alpha": 32, "targets": "attention", "quantization": "bf16", "packing": true, "max_length": 256, "learning_rate": 0.0015, "tokens_per_step": 512, "mixture": {"chain_sum": 0.25, "aiw": 0.25, "word_sequence_reversal": 0.25, "family_relationships": 0.25}}');
INSERT INTO "trial_user_attributes" VALUES(41,4,'bracket','0');
INSERT INTO "trial_user_attributes" VALUES(42,4,'origin','"expert attention: adapters on attention only train about a quarter faster"');
INSERT INTO "trial_user_attributes" VALUES(43,4,'reason','"pruned: beaten by trial 2 by 0.467 \u00b1 0.046 nats on the same items, z 10.2 (loss 3.182 \u00b1 0.284 on 12 items, place 6 of 8)"');
INSERT INTO "trial_user_attributes" VALUES(44,4,'control','false');
INSERT INTO "trial_user_attributes" VALUES(45,4,'share_chain_sum','0.25');
INSERT INTO "trial_user_attributes" VALUES(46,4,'share_aiw','0.25');
INSERT INTO "trial_user_attributes" VALUES(47,4,'share_word_sequence_reversal','0.25');
INSERT INTO "trial_user_attributes" VALUES(48,4,'share_family_relationships','0.25');
INSERT INTO "trial_user_attributes" VALUES(49,4,'train_seconds','1.239');
INSERT INTO "trial_user_attributes" VALUES(50,4,'curve','[[6144, 3.368839769706709]]');
INSERT INTO "trial_user_attributes" VALUES(51,4,'peak_memory_gib','10.25');
INSERT INTO "trial_user_attributes" VALUES(52,4,'rungs','[{"rung": 0, "tokens": 6144, "step": 12, "accuracy": 0.0, "stderr": 0.0743452142666476, "loss": 3.182410368186642, "per_task": {"alpha": 0.0, "beta": 0.0}, "train_s": 1.239, "eval_s": 0.6}]');
INSERT INTO "trial_user_attributes" VALUES(53,5,'recipe','{"rank": 14, "alpha": 28, "targets": "all-linear", "quantization": "bf16", "packing": true, "max_length": 256, "learning_rate": 0.0009028617182080679, "tokens_per_step": 512, "mixture": {"chain_sum": 0.4555943666810612, "aiw": 0.05757993107560645, "word_sequence_reversal": 0.22127781205441313, "family_relationships": 0.2655478901889192}}');
INSERT INTO "trial_user_attributes" VALUES(54,5,'bracket','0');
INSERT INTO "trial_user_attributes" VALUES(55,5,'origin','"random, seed 0"');
INSERT INTO "trial_user_attributes" VALUES(56,5,'reason','"pruned: beaten by trial 2 by 0.125 \u00b1 0.017 nats on the same items, z 7.3 (loss 2.840 \u00b1 0.251 on 12 items, place 4 of 8)"');
INSERT INTO "trial_user_attributes" VALUES(57,5,'control','false');
INSERT INTO "trial_user_attributes" VALUES(58,5,'share_chain_sum','0.4556');
INSERT INTO "trial_user_attributes" VALUES(59,5,'share_aiw','0.0576');
INSERT INTO "trial_user_attributes" VALUES(60,5,'share_word_sequence_reversal','0.2213');
INSERT INTO "trial_user_attributes" VALUES(61,5,'share_family_relationships','0.2655');
INSERT INTO "trial_user_attributes" VALUES(62,5,'train_seconds','1.423');
INSERT INTO "trial_user_attributes" VALUES(63,5,'curve','[[6144, 3.031044937620375]]');
INSERT INTO "trial_user_attributes" VALUES(64,5,'peak_memory_gib','10.219');
INSERT INTO "trial_user_attributes" VALUES(65,5,'rungs','[{"rung": 0, "tokens": 6144, "step": 12, "accuracy": 0.0, "stderr": 0.0743452142666476, "loss": 2.839677098554057, "per_task": {"alpha": 0.0, "beta": 0.0}, "train_s": 1.423, "eval_s": 0.6}]');
INSERT INTO "trial_user_attributes" VALUES(66,6,'recipe','{"rank": 14, "alpha": 28, "targets": "all-linear", "quantization": "nf4", "packing": false, "max_length": 256, "learning_rate": 0.0018399505453752232, "tokens_per_step": 256, "mixture": {"chain_sum": 0.04230897784597106, "aiw": 0.013888293265208376, "word_sequence_reversal": 0.08158748640520126, "family_relationships": 0.8622152424836194}}');
INSERT INTO "trial_user_attributes" VALUES(67,6,'bracket','0');
INSERT INTO "trial_user_attributes" VALUES(68,6,'origin','"random, seed 0"');
INSERT INTO "trial_user_attributes" VALUES(69,6,'reason','"pruned: beaten by trial 7 by 0.628 \u00b1 0.056 nats on the same items, z 11.2 (loss 3.335 \u00b1 0.298 on 12 items, place 7 of 8)"');
INSERT INTO "trial_user_attributes" VALUES(70,6,'control','false');
INSERT INTO "trial_user_attributes" VALUES(71,6,'share_chain_sum','0.0423');
INSERT INTO "trial_user_attributes" VALUES(72,6,'share_aiw','0.0139');
INSERT INTO "trial_user_attributes" VALUES(73,6,'share_word_sequence_reversal','0.0816');
INSERT INTO "trial_user_attributes" VALUES(74,6,'share_family_relationships','0.8622');
INSERT INTO "trial_user_attributes" VALUES(75,6,'train_seconds','3.074');
INSERT INTO "trial_user_attributes" VALUES(76,6,'curve','[[6144, 3.54021574507408]]');
INSERT INTO "trial_user_attributes" VALUES(77,6,'peak_memory_gib','10.219');
INSERT INTO "trial_user_attributes" VALUES(78,6,'rungs','[{"rung": 0, "tokens": 6144, "step": 24, "accuracy": 0.0, "stderr": 0.0743452142666476, "loss": 3.3346952910625234, "per_task": {"alpha": 0.0, "beta": 0.0}, "train_s": 3.074, "eval_s": 0.6}]');
INSERT INTO "trial_user_attributes" VALUES(79,7,'recipe','{"rank": 8, "alpha": 16, "targets": "all-linear", "quantization": "bf16", "packing": true, "max_length": 256, "learning_rate": 0.0036308762982165516, "tokens_per_step": 256, "mixture": {"chain_sum": 0.6981192069766304, "aiw": 0.12054324022999784, "word_sequence_reversal": 0.08978352652382715, "family_relationships": 0.09155402626954456}}');
INSERT INTO "trial_user_attributes" VALUES(80,7,'bracket','0');
INSERT INTO "trial_user_attributes" VALUES(81,7,'origin','"random, seed 0"');
INSERT INTO "trial_user_attributes" VALUES(82,7,'reason','"pruned: beaten by trial 2 by 1.299 \u00b1 0.126 nats on the same items, z 10.3 (loss 4.014 \u00b1 0.365 on 12 items, place 8 of 8)"');
INSERT INTO "trial_user_attributes" VALUES(83,7,'control','false');
INSERT INTO "trial_user_attributes" VALUES(84,7,'share_chain_sum','0.6981');
INSERT INTO "trial_user_attributes" VALUES(85,7,'share_aiw','0.1205');
INSERT INTO "trial_user_attributes" VALUES(86,7,'share_word_sequence_reversal','0.0898');
INSERT INTO "trial_user_attributes" VALUES(87,7,'share_family_relationships','0.0916');
INSERT INTO "trial_user_attributes" VALUES(88,7,'train_seconds','1.419');
INSERT INTO "trial_user_attributes" VALUES(89,7,'curve','[[6144, 4.277042976428499]]');
INSERT INTO "trial_user_attributes" VALUES(90,7,'peak_memory_gib','10.125');
INSERT INTO "trial_user_attributes" VALUES(91,7,'rungs','[{"rung": 0, "tokens": 6144, "step": 24, "accuracy": 0.0, "stderr": 0.0743452142666476, "loss": 4.014288301510447, "per_task": {"alpha": 0.0, "beta": 0.0}, "train_s": 1.419, "eval_s": 0.6}]');
INSERT INTO "trial_user_attributes" VALUES(92,8,'recipe','{"rank": 7, "alpha": 7, "targets": "attention", "quantization": "nf4", "packing": false, "max_length": 256, "learning_rate": 0.0004369625041811102, "tokens_per_step": 256, "mixture": {"chain_sum": 0.1678421028408242, "aiw": 0.6177828458448497, "word_sequence_reversal": 0.20418278028177184, "family_relationships": 0.010192271032554313}}');
INSERT INTO "trial_user_attributes" VALUES(93,8,'bracket','0');
INSERT INTO "trial_user_attributes" VALUES(94,8,'origin','"random, seed 0"');
INSERT INTO "trial_user_attributes" VALUES(95,8,'reason','"complete: reached the top rung"');
INSERT INTO "trial_user_attributes" VALUES(96,8,'control','false');
INSERT INTO "trial_user_attributes" VALUES(97,8,'share_chain_sum','0.1678');
INSERT INTO "trial_user_attributes" VALUES(98,8,'share_aiw','0.6178');
INSERT INTO "trial_user_attributes" VALUES(99,8,'share_word_sequence_reversal','0.2042');
INSERT INTO "trial_user_attributes" VALUES(100,8,'share_family_relationships','0.0102');
INSERT INTO "trial_user_attributes" VALUES(101,8,'train_seconds','23.971');
INSERT INTO "trial_user_attributes" VALUES(102,8,'curve','[[6144, 2.8781012603444154], [18432, 2.839480224647873], [55296, 2.731867655042295]]');
INSERT INTO "trial_user_attributes" VALUES(103,8,'peak_memory_gib','10.109');
INSERT INTO "trial_user_attributes" VALUES(104,8,'rungs','[{"rung": 0, "tokens": 6144, "step": 24, "accuracy": 0.0, "stderr": 0.0743452142666476, "loss": 2.7064599317819606, "per_task": {"alpha": 0.0, "beta": 0.0}, "train_s": 2.663, "eval_s": 0.6}, {"rung": 1, "tokens": 18432, "step": 72, "accuracy": 0.0, "stderr": 0.0743452142666476, "loss": 2.6791417409887424, "per_task": {"alpha": 0.0, "beta": 0.0}, "train_s": 7.99, "eval_s": 1.2}, {"rung": 2, "tokens": 55296, "step": 216, "accuracy": 0.0, "stderr": 0.0743452142666476, "loss": 2.5818907199695715, "per_task": {"alpha": 0.0, "beta": 0.0}, "train_s": 23.971, "eval_s": 1.8}]');
INSERT INTO "trial_user_attributes" VALUES(105,8,'promoted','2');
INSERT INTO "trial_user_attributes" VALUES(106,3,'promoted','2');
INSERT INTO "trial_user_attributes" VALUES(107,1,'promoted','2');
INSERT INTO "trial_user_attributes" VALUES(108,5,'eval_seconds','0.6');
INSERT INTO "trial_user_attributes" VALUES(109,5,'early_loss','2.83968');
INSERT INTO "trial_user_attributes" VALUES(110,5,'early_accuracy','0.0');
INSERT INTO "trial_user_attributes" VALUES(111,5,'tokens','6144');
INSERT INTO "trial_user_attributes" VALUES(112,2,'eval_seconds','0.6');
INSERT INTO "trial_user_attributes" VALUES(113,2,'early_loss','2.90143');
INSERT INTO "trial_user_attributes" VALUES(114,2,'early_accuracy','0.0');
INSERT INTO "trial_user_attributes" VALUES(115,2,'tokens','6144');
INSERT INTO "trial_user_attributes" VALUES(116,4,'eval_seconds','0.6');
INSERT INTO "trial_user_attributes" VALUES(117,4,'early_loss','3.18241');
INSERT INTO "trial_user_attributes" VALUES(118,4,'early_accuracy','0.0');
INSERT INTO "trial_user_attributes" VALUES(119,4,'tokens','6144');
INSERT INTO "trial_user_attributes" VALUES(120,6,'eval_seconds','0.6');
INSERT INTO "trial_user_attributes" VALUES(121,6,'early_loss','3.3347');
INSERT INTO "trial_user_attributes" VALUES(122,6,'early_accuracy','0.0');
INSERT INTO "trial_user_attributes" VALUES(123,6,'tokens','6144');
INSERT INTO "trial_user_attributes" VALUES(124,7,'eval_seconds','0.6');
INSERT INTO "trial_user_attributes" VALUES(125,7,'early_loss','4.01429');
INSERT INTO "trial_user_attributes" VALUES(126,7,'early_accuracy','0.0');
INSERT INTO "trial_user_attributes" VALUES(127,7,'tokens','6144');
INSERT INTO "trial_user_attributes" VALUES(128,1,'eval_seconds','1.8');
INSERT INTO "trial_user_attributes" VALUES(129,1,'early_loss','2.57535');
INSERT INTO "trial_user_attributes" VALUES(130,1,'early_accuracy','0.0');
INSERT INTO "trial_user_attributes" VALUES(131,1,'tokens','55296');
INSERT INTO "trial_user_attributes" VALUES(132,3,'eval_seconds','1.8');
INSERT INTO "trial_user_attributes" VALUES(133,3,'early_loss','2.51288');
INSERT INTO "trial_user_attributes" VALUES(134,3,'early_accuracy','0.0');
INSERT INTO "trial_user_attributes" VALUES(135,3,'tokens','55296');
INSERT INTO "trial_user_attributes" VALUES(136,8,'eval_seconds','1.8');
INSERT INTO "trial_user_attributes" VALUES(137,8,'early_loss','2.58189');
INSERT INTO "trial_user_attributes" VALUES(138,8,'early_accuracy','0.0');
INSERT INTO "trial_user_attributes" VALUES(139,8,'tokens','55296');
INSERT INTO "trial_user_attributes" VALUES(140,9,'recipe','{"rank": 10, "alpha": 10, "targets": "all-linear", "quantization": "nf4", "packing": true, "max_length": 256, "learning_rate": 0.0012286658643040297, "tokens_per_step": 256, "mixture": {"chain_sum": 0.17381431626109053, "aiw": 0.46708921782610274, "word_sequence_reversal": 0.11570949374159602, "family_relationships": 0.2433869721712106}}');
INSERT INTO "trial_user_attributes" VALUES(141,9,'bracket','1');
INSERT INTO "trial_user_attributes" VALUES(142,9,'origin','"random, seed 0"');
INSERT INTO "trial_user_attributes" VALUES(143,9,'reason','"pruned: beaten by trial 14 by 0.364 \u00b1 0.035 nats on the same items, z 10.5 (loss 3.027 \u00b1 0.273 on 12 items, place 8 of 8)"');
INSERT INTO "trial_user_attributes" VALUES(144,9,'control','false');
INSERT INTO "trial_user_attributes" VALUES(145,9,'share_chain_sum','0.1738');
INSERT INTO "trial_user_attributes" VALUES(146,9,'share_aiw','0.4671');
INSERT INTO "trial_user_attributes" VALUES(147,9,'share_word_sequence_reversal','0.1157');
INSERT INTO "trial_user_attributes" VALUES(148,9,'share_family_relationships','0.2434');
INSERT INTO "trial_user_attributes" VALUES(149,9,'train_seconds','1.704');
INSERT INTO "trial_user_attributes" VALUES(150,9,'curve','[[6144, 3.211971877255831]]');
INSERT INTO "trial_user_attributes" VALUES(151,9,'peak_memory_gib','10.156');
INSERT INTO "trial_user_attributes" VALUES(152,9,'rungs','[{"rung": 0, "tokens": 6144, "step": 24, "accuracy": 0.0, "stderr": 0.0743452142666476, "loss": 3.026655192578043, "per_task": {"alpha": 0.0, "beta": 0.0}, "train_s": 1.704, "eval_s": 0.6}]');
INSERT INTO "trial_user_attributes" VALUES(153,10,'recipe','{"rank": 14, "alpha": 14, "targets": "attention", "quantization": "bf16", "packing": true, "max_length": 256, "learning_rate": 0.0002829741167428024, "tokens_per_step": 256, "mixture": {"chain_sum": 0.5210036486214334, "aiw": 0.23861570570588647, "word_sequence_reversal": 0.2277460588403299, "family_relationships": 0.012634586832350176}}');
INSERT INTO "trial_user_attributes" VALUES(154,10,'bracket','1');
INSERT INTO "trial_user_attributes" VALUES(155,10,'origin','"most promising per second by 9 learning curves, seed 0"');
INSERT INTO "trial_user_attributes" VALUES(156,10,'reason','"pruned: beaten by trial 14 by 0.018 \u00b1 0.010 nats on the same items, z 1.9 (loss 2.681 \u00b1 0.238 on 12 items, place 4 of 8)"');
INSERT INTO "trial_user_attributes" VALUES(157,10,'control','false');
INSERT INTO "trial_user_attributes" VALUES(158,10,'share_chain_sum','0.521');
INSERT INTO "trial_user_attributes" VALUES(159,10,'share_aiw','0.2386');
INSERT INTO "trial_user_attributes" VALUES(160,10,'share_word_sequence_reversal','0.2277');
INSERT INTO "trial_user_attributes" VALUES(161,10,'share_family_relationships','0.0126');
INSERT INTO "trial_user_attributes" VALUES(162,10,'train_seconds','1.237');
INSERT INTO "trial_user_attributes" VALUES(163,10,'curve','[[6144, 2.8614830426849007]]');
INSERT INTO "trial_user_attributes" VALUES(164,10,'peak_memory_gib','10.219');
INSERT INTO "trial_user_attributes" VALUES(165,10,'rungs','[{"rung": 0, "tokens": 6144, "step": 24, "accuracy": 0.0, "stderr": 0.0743452142666476, "loss": 2.6812530723069337, "per_task": {"alpha": 0.0, "beta": 0.0}, "train_s": 1.237, "eval_s": 0.6}]');
INSERT INTO "trial_user_attributes" VALUES(166,11,'recipe','{"rank": 4, "alpha": 8, "targets": "attention", "quantization": "bf16", "packing": true, "max_length": 256, "learning_rate": 0.000295576128775577, "tokens_per_step": 256, "mixture": {"chain_sum": 0.4620777670808114, "aiw": 0.42682444277036113, "word_sequence_reversal": 0.09831151543943531, "family_relationships": 0.012786274709392188}}');
INSERT INTO "trial_user_attributes" VALUES(167,11,'bracket','1');
INSERT INTO "trial_user_attributes" VALUES(168,11,'origin','"most promising per second by 10 learning curves, seed 0"');
INSERT INTO "trial_user_attributes" VALUES(169,11,'reason','"pruned: beaten by trial 14 by 0.076 \u00b1 0.011 nats on the same items, z 7.0 (loss 2.739 \u00b1 0.243 on 12 items, place 7 of 8)"');
INSERT INTO "trial_user_attributes" VALUES(170,11,'control','false');
INSERT INTO "trial_user_attributes" VALUES(171,11,'share_chain_sum','0.4621');
INSERT INTO "trial_user_attributes" VALUES(172,11,'share_aiw','0.4268');
INSERT INTO "trial_user_attributes" VALUES(173,11,'share_word_sequence_reversal','0.0983');
INSERT INTO "trial_user_attributes" VALUES(174,11,'share_family_relationships','0.0128');
INSERT INTO "trial_user_attributes" VALUES(175,11,'train_seconds','1.231');
INSERT INTO "trial_user_attributes" VALUES(176,11,'curve','[[6144, 2.9134906468964505]]');
INSERT INTO "trial_user_attributes" VALUES(177,11,'peak_memory_gib','10.062');
INSERT INTO "trial_user_attributes" VALUES(178,11,'rungs','[{"rung": 0, "tokens": 6144, "step": 24, "accuracy": 0.0, "stderr": 0.0743452142666476, "loss": 2.7388403745269176, "per_task": {"alpha": 0.0, "beta": 0.0}, "train_s": 1.231, "eval_s": 0.6}]');
INSERT INTO "trial_user_attributes" VALUES(179,12,'recipe','{"rank": 23, "alpha": 23, "targets": "all-linear", "quantization": "bf16", "packing": true, "max_length": 256, "learning_rate": 0.0003918299716532049, "tokens_per_step": 256, "mixture": {"chain_sum": 0.302367098893662, "aiw": 0.28626415104191744, "word_sequence_reversal": 0.40795084301675405, "family_relationships": 0.0034179070476665382}}');
INSERT INTO "trial_user_attributes" VALUES(180,12,'bracket','1');
INSERT INTO "trial_user_attributes" VALUES(181,12,'origin','"most promising per second by 11 learning curves, seed 0"');
INSERT INTO "trial_user_attributes" VALUES(182,12,'reason','"complete: reached the top rung"');
INSERT INTO "trial_user_attributes" VALUES(183,12,'control','false');
INSERT INTO "trial_user_attributes" VALUES(184,12,'share_chain_sum','0.3024');
INSERT INTO "trial_user_attributes" VALUES(185,12,'share_aiw','0.2863');
INSERT INTO "trial_user_attributes" VALUES(186,12,'share_word_sequence_reversal','0.408');
INSERT INTO "trial_user_attributes" VALUES(187,12,'share_family_relationships','0.0034');
INSERT INTO "trial_user_attributes" VALUES(188,12,'train_seconds','12.864');
INSERT INTO "trial_user_attributes" VALUES(189,12,'curve','[[6144, 2.838494449081791], [18432, 2.7879193038525716], [55296, 2.6501243425629415]]');
INSERT INTO "trial_user_attributes" VALUES(190,12,'peak_memory_gib','10.359');
INSERT INTO "trial_user_attributes" VALUES(191,12,'rungs','[{"rung": 0, "tokens": 6144, "step": 24, "accuracy": 0.0, "stderr": 0.0743452142666476, "loss": 2.6775961533806374, "per_task": {"alpha": 0.0, "beta": 0.0}, "train_s": 1.429, "eval_s": 0.6}, {"rung": 1, "tokens": 18432, "step": 72, "accuracy": 0.0, "stderr": 0.0743452142666476, "loss": 2.6054448261474685, "per_task": {"alpha": 0.0, "beta": 0.0}, "train_s": 4.288, "eval_s": 1.2}, {"rung": 2, "tokens": 55296, "step": 216, "accuracy": 0.0, "stderr": 0.0743452142666476, "loss": 2.494605565311481, "per_task": {"alpha": 0.0, "beta": 0.0}, "train_s": 12.864, "eval_s": 1.8}]');
INSERT INTO "trial_user_attributes" VALUES(192,13,'recipe','{"rank": 45, "alpha": 90, "targets": "all-linear", "quantization": "bf16", "packing": true, "max_length": 256, "learning_rate": 0.0003918299716532049, "tokens_per_step": 256, "mixture": {"chain_sum": 0.6371612621994402, "aiw": 0.22688400032356737, "word_sequence_reversal": 0.12981800210757577, "family_relationships": 0.006136735369416524}}');
INSERT INTO "trial_user_attributes" VALUES(193,13,'bracket','1');
INSERT INTO "trial_user_attributes" VALUES(194,13,'origin','"most promising per second by 12 learning curves, seed 0"');
INSERT INTO "trial_user_attributes" VALUES(195,13,'reason','"complete: reached the top rung"');
INSERT INTO "trial_user_attributes" VALUES(196,13,'control','false');
INSERT INTO "trial_user_attributes" VALUES(197,13,'share_chain_sum','0.6372');
INSERT INTO "trial_user_attributes" VALUES(198,13,'share_aiw','0.2269');
INSERT INTO "trial_user_attributes" VALUES(199,13,'share_word_sequence_reversal','0.1298');
INSERT INTO "trial_user_attributes" VALUES(200,13,'share_family_relationships','0.0061');
INSERT INTO "trial_user_attributes" VALUES(201,13,'train_seconds','13.004');
INSERT INTO "trial_user_attributes" VALUES(202,13,'curve','[[6144, 2.834185670396952], [18432, 2.7836105251677323], [55296, 2.6458155638781022]]');
INSERT INTO "trial_user_attributes" VALUES(203,13,'peak_memory_gib','10.703');
INSERT INTO "trial_user_attributes" VALUES(204,13,'rungs','[{"rung": 0, "tokens": 6144, "step": 24, "accuracy": 0.0, "stderr": 0.0743452142666476, "loss": 2.6646673544470083, "per_task": {"alpha": 0.0, "beta": 0.0}, "train_s": 1.445, "eval_s": 0.6}, {"rung": 1, "tokens": 18432, "step": 72, "accuracy": 0.0, "stderr": 0.0743452142666476, "loss": 2.6183135873616252, "per_task": {"alpha": 0.0, "beta": 0.0}, "train_s": 4.335, "eval_s": 1.2}, {"rung": 2, "tokens": 55296, "step": 216, "accuracy": 0.0, "stderr": 0.0743452142666476, "loss": 2.4872891637439065, "per_task": {"alpha": 0.0, "beta": 0.0}, "train_s": 13.004, "eval_s": 1.8}]');
INSERT INTO "trial_user_attributes" VALUES(205,14,'recipe','{"rank": 55, "alpha": 110, "targets": "attention", "quantization": "bf16", "packing": true, "max_length": 256, "learning_rate": 0.00030032137456990053, "tokens_per_step": 256, "mixture": {"chain_sum": 0.007653428210327866, "aiw": 0.09508574998616741, "word_sequence_reversal": 0.764226629529737, "family_relationships": 0.13303419227376767}}');
INSERT INTO "trial_user_attributes" VALUES(206,14,'bracket','1');
INSERT INTO "trial_user_attributes" VALUES(207,14,'origin','"most promising per second by 13 learning curves, seed 0"');
INSERT INTO "trial_user_attributes" VALUES(208,14,'reason','"pruned: beaten by trial 14 by 0.023 \u00b1 0.010 nats on the same items, z 2.3 (loss 2.686 \u00b1 0.237 on 12 items, place 6 of 8)"');
INSERT INTO "trial_user_attributes" VALUES(209,14,'control','false');
INSERT INTO "trial_user_attributes" VALUES(210,14,'share_chain_sum','0.0077');
INSERT INTO "trial_user_attributes" VALUES(211,14,'share_aiw','0.0951');
INSERT INTO "trial_user_attributes" VALUES(212,14,'share_word_sequence_reversal','0.7642');
INSERT INTO "trial_user_attributes" VALUES(213,14,'share_family_relationships','0.133');
INSERT INTO "trial_user_attributes" VALUES(214,14,'train_seconds','1.263');
INSERT INTO "trial_user_attributes" VALUES(215,14,'curve','[[6144, 2.8570216948506517]]');
INSERT INTO "trial_user_attributes" VALUES(216,14,'peak_memory_gib','10.859');
INSERT INTO "trial_user_attributes" VALUES(217,14,'rungs','[{"rung": 0, "tokens": 6144, "step": 24, "accuracy": 0.0, "stderr": 0.0743452142666476, "loss": 2.685792207469861, "per_task": {"alpha": 0.0, "beta": 0.0}, "train_s": 1.263, "eval_s": 0.6}]');
INSERT INTO "trial_user_attributes" VALUES(218,15,'recipe','{"rank": 64, "alpha": 64, "targets": "attention", "quantization": "bf16", "packing": true, "max_length": 256, "learning_rate": 0.000345544344563091, "tokens_per_step": 256, "mixture": {"chain_sum": 0.5607569089818975, "aiw": 0.05660055486753541, "word_sequence_reversal": 0.03332250393055834, "family_relationships": 0.34932003222000885}}');
INSERT INTO "trial_user_attributes" VALUES(219,15,'bracket','1');
INSERT INTO "trial_user_attributes" VALUES(220,15,'origin','"most promising per second by 14 learning curves, seed 0"');
INSERT INTO "trial_user_attributes" VALUES(221,15,'reason','"complete: reached the top rung"');
INSERT INTO "trial_user_attributes" VALUES(222,15,'control','false');
INSERT INTO "trial_user_attributes" VALUES(223,15,'share_chain_sum','0.5608');
INSERT INTO "trial_user_attributes" VALUES(224,15,'share_aiw','0.0566');
INSERT INTO "trial_user_attributes" VALUES(225,15,'share_word_sequence_reversal','0.0333');
INSERT INTO "trial_user_attributes" VALUES(226,15,'share_family_relationships','0.3493');
INSERT INTO "trial_user_attributes" VALUES(227,15,'train_seconds','11.413');
INSERT INTO "trial_user_attributes" VALUES(228,15,'curve','[[6144, 2.8388046033334198], [18432, 2.8043156153107227], [55296, 2.7074640667985914]]');
INSERT INTO "trial_user_attributes" VALUES(229,15,'peak_memory_gib','11.0');
INSERT INTO "trial_user_attributes" VALUES(230,15,'rungs','[{"rung": 0, "tokens": 6144, "step": 24, "accuracy": 0.0, "stderr": 0.0743452142666476, "loss": 2.662789233990325, "per_task": {"alpha": 0.0, "beta": 0.0}, "train_s": 1.268, "eval_s": 0.6}, {"rung": 1, "tokens": 18432, "step": 72, "accuracy": 0.0, "stderr": 0.0743452142666476, "loss": 2.6321070411981404, "per_task": {"alpha": 0.0, "beta": 0.0}, "train_s": 3.804, "eval_s": 1.2}, {"rung": 2, "tokens": 55296, "step": 216, "accuracy": 0.0, "stderr": 0.0743452142666476, "loss": 2.5302247579163275, "per_task": {"alpha": 0.0, "beta": 0.0}, "train_s": 11.413, "eval_s": 1.8}]');
INSERT INTO "trial_user_attributes" VALUES(231,16,'recipe','{"rank": 64, "alpha": 128, "targets": "attention", "quantization": "bf16", "packing": true, "max_length": 256, "learning_rate": 0.0003891443813814965, "tokens_per_step": 512, "mixture": {"chain_sum": 0.7907235448574131, "aiw": 0.017831970443948658, "word_sequence_reversal": 0.1848935055913781, "family_relationships": 0.006550979107260099}}');
INSERT INTO "trial_user_attributes" VALUES(232,16,'bracket','1');
INSERT INTO "trial_user_attributes" VALUES(233,16,'origin','"most promising per second by 15 learning curves, seed 0"');
INSERT INTO "trial_user_attributes" VALUES(234,16,'reason','"pruned: beaten by trial 14 by 0.021 \u00b1 0.011 nats on the same items, z 1.9 (loss 2.683 \u00b1 0.237 on 12 items, place 5 of 8)"');
INSERT INTO "trial_user_attributes" VALUES(235,16,'control','false');
INSERT INTO "trial_user_attributes" VALUES(236,16,'share_chain_sum','0.7907');
INSERT INTO "trial_user_attributes" VALUES(237,16,'share_aiw','0.0178');
INSERT INTO "trial_user_attributes" VALUES(238,16,'share_word_sequence_reversal','0.1849');
INSERT INTO "trial_user_attributes" VALUES(239,16,'share_family_relationships','0.0066');
INSERT INTO "trial_user_attributes" VALUES(240,16,'train_seconds','1.268');
INSERT INTO "trial_user_attributes" VALUES(241,16,'curve','[[6144, 2.852864228773889]]');
INSERT INTO "trial_user_attributes" VALUES(242,16,'peak_memory_gib','11.0');
INSERT INTO "trial_user_attributes" VALUES(243,16,'rungs','[{"rung": 0, "tokens": 6144, "step": 12, "accuracy": 0.0, "stderr": 0.0743452142666476, "loss": 2.6834570348354054, "per_task": {"alpha": 0.0, "beta": 0.0}, "train_s": 1.268, "eval_s": 0.6}]');
INSERT INTO "trial_user_attributes" VALUES(244,15,'promoted','2');
INSERT INTO "trial_user_attributes" VALUES(245,13,'promoted','2');
INSERT INTO "trial_user_attributes" VALUES(246,12,'promoted','2');
INSERT INTO "trial_user_attributes" VALUES(247,10,'eval_seconds','0.6');
INSERT INTO "trial_user_attributes" VALUES(248,10,'early_loss','2.68125');
INSERT INTO "trial_user_attributes" VALUES(249,10,'early_accuracy','0.0');
INSERT INTO "trial_user_attributes" VALUES(250,10,'tokens','6144');
INSERT INTO "trial_user_attributes" VALUES(251,16,'eval_seconds','0.6');
INSERT INTO "trial_user_attributes" VALUES(252,16,'early_loss','2.68346');
INSERT INTO "trial_user_attributes" VALUES(253,16,'early_accuracy','0.0');
INSERT INTO "trial_user_attributes" VALUES(254,16,'tokens','6144');
INSERT INTO "trial_user_attributes" VALUES(255,14,'eval_seconds','0.6');
INSERT INTO "trial_user_attributes" VALUES(256,14,'early_loss','2.68579');
INSERT INTO "trial_user_attributes" VALUES(257,14,'early_accuracy','0.0');
INSERT INTO "trial_user_attributes" VALUES(258,14,'tokens','6144');
INSERT INTO "trial_user_attributes" VALUES(259,11,'eval_seconds','0.6');
INSERT INTO "trial_user_attributes" VALUES(260,11,'early_loss','2.73884');
INSERT INTO "trial_user_attributes" VALUES(261,11,'early_accuracy','0.0');
INSERT INTO "trial_user_attributes" VALUES(262,11,'tokens','6144');
INSERT INTO "trial_user_attributes" VALUES(263,9,'eval_seconds','0.6');
INSERT INTO "trial_user_attributes" VALUES(264,9,'early_loss','3.02666');
INSERT INTO "trial_user_attributes" VALUES(265,9,'early_accuracy','0.0');
INSERT INTO "trial_user_attributes" VALUES(266,9,'tokens','6144');
INSERT INTO "trial_user_attributes" VALUES(267,12,'eval_seconds','1.8');
INSERT INTO "trial_user_attributes" VALUES(268,12,'early_loss','2.49461');
INSERT INTO "trial_user_attributes" VALUES(269,12,'early_accuracy','0.0');
INSERT INTO "trial_user_attributes" VALUES(270,12,'tokens','55296');
INSERT INTO "trial_user_attributes" VALUES(271,13,'eval_seconds','1.8');
INSERT INTO "trial_user_attributes" VALUES(272,13,'early_loss','2.48729');
INSERT INTO "trial_user_attributes" VALUES(273,13,'early_accuracy','0.0');
INSERT INTO "trial_user_attributes" VALUES(274,13,'tokens','55296');
INSERT INTO "trial_user_attributes" VALUES(275,15,'eval_seconds','1.8');
INSERT INTO "trial_user_attributes" VALUES(276,15,'early_loss','2.53022');
INSERT INTO "trial_user_attributes" VALUES(277,15,'early_accuracy','0.0');
INSERT INTO "trial_user_attributes" VALUES(278,15,'tokens','55296');
CREATE TABLE trial_values (
	trial_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	value FLOAT, 
	value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_value_id), 
	UNIQUE (trial_id, objective), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_values" VALUES(1,1,0,0.0,'FINITE');
INSERT INTO "trial_values" VALUES(2,1,1,4.06111111111111169197e-03,'FINITE');
INSERT INTO "trial_values" VALUES(3,3,0,0.0,'FINITE');
INSERT INTO "trial_values" VALUES(4,3,1,4.06111111111111169197e-03,'FINITE');
INSERT INTO "trial_values" VALUES(5,8,0,0.0,'FINITE');
INSERT INTO "trial_values" VALUES(6,8,1,7.15861111111111125121e-03,'FINITE');
INSERT INTO "trial_values" VALUES(7,12,0,0.0,'FINITE');
INSERT INTO "trial_values" VALUES(8,12,1,4.07333333333333331982e-03,'FINITE');
INSERT INTO "trial_values" VALUES(9,13,0,0.0,'FINITE');
INSERT INTO "trial_values" VALUES(10,13,1,4.1122222222222219734e-03,'FINITE');
INSERT INTO "trial_values" VALUES(11,15,0,0.0,'FINITE');
INSERT INTO "trial_values" VALUES(12,15,1,3.6702777777777779479e-03,'FINITE');
CREATE TABLE trials (
	trial_id INTEGER NOT NULL, 
	number INTEGER, 
	study_id INTEGER, 
	state VARCHAR(8) NOT NULL, 
	datetime_start DATETIME, 
	datetime_complete DATETIME, 
	PRIMARY KEY (trial_id), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "trials" VALUES(1,0,1,'COMPLETE','2026-11-27 22:17:55.479947','2026-11-27 22:17:57.791638');
INSERT INTO "trials" VALUES(2,1,1,'PRUNED','2026-11-27 22:17:55.716087','2026-11-27 22:17:56.839686');
INSERT INTO "trials" VALUES(3,2,1,'COMPLETE','2026-11-27 22:17:55.843240','2026-11-27 22:17:57.926593');
INSERT INTO "trials" VALUES(4,3,1,'PRUNED','2026-11-27 22:17:56.136507','2026-11-27 22:17:56.939203');
INSERT INTO "trials" VALUES(5,4,1,'PRUNED','2026-11-27 22:17:56.212916','2026-11-27 22:17:56.701040');
INSERT INTO "trials" VALUES(6,5,1,'PRUNED','2026-11-27 22:17:56.296542','2026-11-27 22:17:57.045476');
INSERT INTO "trials" VALUES(7,6,1,'PRUNED','2026-11-27 22:17:56.375558','2026-11-27 22:17:57.171625');
INSERT INTO "trials" VALUES(8,7,1,'COMPLETE','2026-11-27 22:17:56.456006','2026-11-27 22:17:58.066227');
INSERT INTO "trials" VALUES(9,8,1,'PRUNED','2026-11-27 22:17:58.127781','2026-11-27 22:18:00.184864');
INSERT INTO "trials" VALUES(10,9,1,'PRUNED','2026-11-27 22:17:58.306913','2026-11-27 22:17:59.665101');
INSERT INTO "trials" VALUES(11,10,1,'PRUNED','2026-11-27 22:17:58.485126','2026-11-27 22:18:00.057092');
INSERT INTO "trials" VALUES(12,11,1,'COMPLETE','2026-11-27 22:17:58.661172','2026-11-27 22:18:00.967004');
INSERT INTO "trials" VALUES(13,12,1,'COMPLETE','2026-11-27 22:17:58.843103','2026-11-27 22:18:01.090690');
INSERT INTO "trials" VALUES(14,13,1,'PRUNED','2026-11-27 22:17:59.022154','2026-11-27 22:17:59.929001');
INSERT INTO "trials" VALUES(15,14,1,'COMPLETE','2026-11-27 22:17:59.198883','2026-11-27 22:18:01.245183');
INSERT INTO "trials" VALUES(16,15,1,'PRUNED','2026-11-27 22:17:59.356014','2026-11-27 22:17:59.816621');
CREATE TABLE version_info (
	version_info_id INTEGER NOT NULL, 
	schema_version INTEGER, 
	library_version VARCHAR(256), 
	PRIMARY KEY (version_info_id), 
	CHECK (version_info_id=1)
);
INSERT INTO "version_info" VALUES(1,12,'5.0.0');
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
CREATE INDEX ix_trials_study_id ON trials (study_id);
COMMIT;
