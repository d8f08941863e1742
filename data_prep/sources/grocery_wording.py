"""The till's abbreviations in plain words: "FRZN SS PREMIUM ENTREES/DNRS/N" is a Frozen Single Serve Premium Entree.

The labels of The Complete Journey are capitals of at most thirty letters, cut off in the middle of a word. A text
encoder and a reader both want words.
"""

import re

LONGEST = 30
"""A label of this length was cut off."""

LABELS = {
    "FLUID MILK WHITE ONLY": "White Milk",
    "FLUID MILK PRODUCTS": "Milk",
    "SOFT DRINKS 12/18&15PK CAN CAR": "Soft Drinks, 12 to 18 Can Pack",
    "SOFT DRINKS 20PK&24PK CAN CARB": "Soft Drinks, 20 to 24 Can Pack",
    "SOFT DRINKS 6PK/4PK CAN CARB (": "Soft Drinks, 4 to 6 Can Pack",
    "SFT DRNK 2 LITER BTL CARB INCL": "Soft Drinks, 2 Liter Bottle",
    "SFT DRNK SNGL SRV BTL CARB (EX": "Soft Drinks, Single Serve Bottle",
    "SFT DRNK MLT-PK BTL CARB (EXCP": "Soft Drinks, Multi Pack Bottles",
    "SOFT DRINK BOTTLE NON-CARB (EX": "Still Soft Drinks, Bottle",
    "YOGURT NOT MULTI-PACKS": "Yogurt, Single Cup",
    "BEERALEMALT LIQUORS": "Beer, Ale & Malt Liquor",
    "MEXICAN SAUCESSALSAPICANTEE": "Mexican Sauces, Salsa & Picante",
    "PLSTC CTLRYTBLCLTHSTTHPKSST": "Plastic Cutlery, Tablecloths & Toothpicks",
    "DAIRY CASE 100% PURE JUICE - O": "Chilled Pure Orange Juice",
    "DAIRY CASE 100% PURE JUICE OTH": "Chilled Pure Juice, Other",
    "DAIRY CASE JUICE DRNK UNDER 10": "Chilled Juice Drinks",
    "DAIRY CASE FRUIT DRINKS (NO JU": "Chilled Fruit Drinks",
    "DAIRY CASE CITRUS PNCH/OJ SUBS": "Chilled Citrus Punch & Orange Juice Substitutes",
    "DAIRY CASE TEA WITH SUGAR OR S": "Chilled Sweetened Tea",
    "NON-CRBNTD DRNKING/MNERAL WATE": "Still Drinking & Mineral Water",
    "NON-CARB FLVRD DRNKNG/MNRL WAT": "Still Flavored Water",
    "NON-CARB WATER FLVR - DRNK/MNR": "Still Flavored Water",
    "SGL SV/VEND MACH SNACKS CHIP/P": "Single Serve Snacks, Chips & Popcorn",
    "FRZN OJ&OJ SUBSTITUTES (OVER 5": "Frozen Orange Juice & Substitutes",
    "FD WRAPS/BAGS/TRSH BG": "Food Wraps, Bags & Trash Bags",
    "SNKS/CKYS/CRKR/CNDY": "Snacks, Cookies, Crackers & Candy",
    "PNT BTR/JELLY/JAMS": "Peanut Butter, Jelly & Jams",
    "BEANS - CANNED GLASS & MW": "Beans, Canned & Microwave",
    "MEAT - SHELF STABLE": "Canned Meat & Meals",
    "SEAFOOD - SHELF STABLE": "Canned Seafood",
    "FRUIT - SHELF STABLE": "Canned Fruit",
    "VEGETABLES - SHELF STABLE": "Canned Vegetables",
    "CANDY - CHECKLANE": "Candy at the Checkout",
    "BABY HBC": "Baby Care",
    "DRUG GM": "Drugstore & General Merchandise",
    "NUTRITION": "Natural Foods",
    "PASTRY": "Bakery",
    "MEAT-PCKGD": "Packaged Meat",
    "SEAFOOD-PCKGD": "Packaged Seafood",
}
"""Labels no rule would get right."""

ABBREVIATIONS = """
FRZN=Frozen FRZ=Frozen FROZN=Frozen FRE=Fresh RW=Raw REFRGRATD=Refrigerated REFRIG=Refrigerated
REFIGERATED=Refrigerated DNRS=Dinners DNR=Dinner DRNK=Drink DRNKS=Drinks DRNKING=Drinking FLVRD=Flavored
FLVR=Flavor FLAV=Flavor CHIX=Chicken CHICK=Chicken CHP=Chopped SLC=Sliced PRSLC=Presliced CND=Canned CNDY=Candy
CRKR=Crackers CKE=Cake CAKEROLLS=Cake_Rolls GDS=Goods FDS=Foods FD=Food BRD=Breaded FRD=Fried BRKFST=Breakfast
WHLSM=Wholesome BKD=Baked SALD=Salad SNDWCH=Sandwich SPRD=Spread DRSNG=Dressing VEG=Vegetable PKLD=Pickled
PICKLD=Pickled PWDR=Powder PWDRS=Powders CRYSTL=Crystal MX=Mixes MXS=Mixes MIXS=Mixes BN=Beans WTR=Water
WATE=Water JCE=Juice JUIC=Juice JUI=Juice CONC=Concentrate OJ=Orange_Juice TORT=Tortilla MLK=Milk MALTED=Malted
CHOC=Chocolate CHOCOCLATE=Chocolate CHOCOL=Chocolate CHOCOLA=Chocolate CATFD=Cat_Food DOGFD=Dog_Food SUP=Super
PREM=Premium SW=Sweet SWT=Sweet SAL=Salad SAUS=Sausage PRPCK=Prepack PPK=Prepack PKG=Package PKGD=Packaged
PCKGD=Packaged PK=Pack MULT=Multi MLT=Multi BTL=Bottle SNGL=Single SGL=Single SRV=Serve SV=Serve SS=Single_Serve
RTS=Ready_to_Serve IWS=Wrapped IQF=Individually_Frozen LIQS=Liquids LIQ=Liquor MISC=Assorted
MISCELLANEOUS=Assorted ALL= CMPCTR=Compactor BA=Bags HYGN=Hygiene FEM=Feminine STK=Stick SPECILATY=Specialty
CLEANG=Cleaning CLEANE=Cleaners TISS=Tissue HANDKE=Handkerchiefs SPLY=Supplies SUPPPLIES=Supplies CNTRL=Control
CONTAINR=Containers DECAFFINATED=Decaffeinated SWEETNERS=Sweeteners SHERBTS=Sherbets PROTIEN=Protein
DISPOSIBLE=Disposable LINAMENTS=Liniments PREPORTND=Portioned PREP=Prepared COFF=Coffee GRND=Ground
SECT=Sections CREME=Cream CRMD=Creamed WHL=Whole FS=French_Style BBQ=Barbecue PC=Piece MARIN=Marinade
MARINAD=Marinades DPS=Dips SEAFD=Seafood SHLFSH=Shellfish BTR=Butter SWEE=Sweetener SWE=Sweet PLSTC=Plastic
PLATE=Plates COOKI=Cookies CRACKE=Crackers SANDWIC=Sandwiches BEV=Beverage BNLS=Boneless SHLDR=Shoulder W=with
WT=Weight SUPP=Supplies MAY=Mayonnaise EX=Extra QSR=Quick_Service SUBST=Substitutes NTRTNL=Nutritional
PASTRIES=Pastries CATSUP=Ketchup TV=TV DVD=DVD NZ=New_Zealand DXM=DXM PSE=PSE SPF=SPF OTC=OTC S=s
"""
"""Abbreviations and their words; `_` is a space, nothing leaves the word out."""

WORDS = dict(pair.split("=") for pair in ABBREVIATIONS.split())

SMALL = {"and", "with", "or", "of", "on", "in", "the", "for", "to", "at"}

VAGUE_WORDS = """
adult angus appetizers assorted basic beef better blends bulk butts chicken choice condiments cones cooked cubed
cups dry economy enhanced enrobed entrees fish flavored fresh fully garden general green ham included
individually kits kosher lean light links loave mainstream meat meats natural other pack pails patties pints
plain plus pork poultry premium primal processed raw red regular ribs rolls sandwiches select smoked snacks soup
soups specialty standard stew sticks super supplies traditional treats turkey value variety white yellow you
"""
"""Words that say nothing without the category."""

VAGUE = frozenset(VAGUE_WORDS.split())

UNITS = {"OZ": "oz", "LB": "lb", "GA": "gal", "GAL": "gal", "CT": "ct", "DZ": "dozen", "PK": "pack", "PT": "pint"}


def readable(label: str) -> str:
    """A label in words, "FRZN FRENCH FRIES" as "Frozen French Fries"."""
    if label in LABELS:
        return LABELS[label]
    text = re.sub(r"\(BULK.*|\((?!.*\)).*", "", label)
    if len(label) == LONGEST and text == label:
        text = _without_stump(text)
    text = text.replace("(", ", ").replace(")", "").replace("&", " & ").replace("-", " - ")
    text = re.sub(r"\s*:\s*", ": ", text)
    text = re.sub(r"[A-Z]+", _word, text)
    text = re.sub(r"(?<=\d)(?=(?:Pack|Piece)\b)", " ", text)
    text = re.sub(r"\b(Non|Multi|Pre|Semi|X) - ", r"\1-", text)
    text = re.sub(r"\s+([,:])", r"\1", re.sub(r"\s+", " ", text))
    return re.sub(r"^[\s,:/&-]+|[\s,:/&-]+$", "", text)


def readable_size(size: str) -> str:
    """A package size in words, "1 DZ" as "1 dozen"."""
    text = re.sub(r"[A-Z]+", lambda match: UNITS.get(match[0], match[0].lower()), size)
    return re.sub(r"\(\d+\)\s*", "", re.sub(r"\bl\b", "L", text)).strip()


def title(category: str, kind: str) -> str:
    """Name of a kind of product: its own, after the category's where that alone says too little."""
    words = set(re.findall(r"[a-z]+", kind.lower())) - SMALL
    if words - VAGUE or category.lower() == kind.lower():
        return kind
    return f"{category}, {kind}" if kind else category


def _word(match: re.Match[str]) -> str:
    word = match[0]
    if word in WORDS:
        return WORDS[word].replace("_", " ")
    if word.lower() in SMALL and match.start() > 0:
        return word.lower()
    return word.capitalize()


def _without_stump(text: str) -> str:
    """A cut-off label without the last few letters of what is no word any more."""
    stump = re.search(r"[\s/&-]+([A-Z]{1,3})$", text)
    return text[: stump.start()] if stump and stump[1] not in WORDS else text
