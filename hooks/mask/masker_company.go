package mask

import "strings"

var companyMasker = &masker{
	name:  "company",
	doc:   maskerDoc{"`Amber Foundry Ltd`", "no", "nothing", "which rows have equal values"},
	kinds: []kind{kindText},
	build: func(t *target, r *rule) (transform, traits, error) {
		return t.phrase(r.name, " ", companyFirst, companySecond, companyKinds)
	},
}

var productMasker = &masker{
	name:  "product",
	doc:   maskerDoc{"an invented product: `Amber Kettle`", "no", "nothing", "which rows have equal values; frequent names stay frequent"},
	kinds: []kind{kindText},
	build: func(t *target, r *rule) (transform, traits, error) {
		tf, tr, err := t.phrase(r.name, " ", companyFirst, products)
		tr.remedy = "use hash"
		return tf, tr, err
	},
}

var products = strings.Fields(`
Anvil Apron Atlas Backpack Ballad Banner Basin Basket Beaker Bell Bench Binder Blanket Blender Board Boots Bottle Bowl
Bracket Brush Bucket Cabinet Candle Canvas Cart Chair Chest Chime Chisel Clamp Clock Cloth Coat Compass Cooker Cord
Crate Cup Cushion Desk Dial Drill Easel Fan Feeder File Filter Flask Folder Frame Funnel Gauge Gloves Grill Guide
Hammer Handle Hanger Harness Helmet Hinge Hook Hose Journal Jug Kettle Knife Ladder Lamp Lantern Lens Level Lid Loom
Mallet Map Mat Mirror Mixer Mug Needle Notebook Nozzle Oven Paddle Pan Parcel Pen Pencil Pillow Plate Pliers Pouch
Press Pulley Puzzle Quilt Rack Rake Rope Rug Ruler Saddle Satchel Saw Scale Scarf Scissors Screen Shelf Shovel Sieve
Socket Sofa Spade Spoon Spring Stand Stool Stove Strap Suite Switch Table Tent Timer Torch Towel Tray Tripod Trunk
Valve Vase Vest Vice Wallet Wheel Whistle Wrench Yoke`)
