"""Forty goods with Chinese titles, and what people ask for among them."""

from pathlib import Path

import pandas as pd

TITLES = {
    "厨房": [
        "不锈钢电热水壶 1.5升",
        "玻璃养生壶 家用煮茶器",
        "不粘平底锅 28厘米",
        "铸铁炒锅 无涂层",
        "陶瓷汤锅 大容量炖锅",
        "多功能电饭煲 4升",
        "家用榨汁机 便携式",
        "厨房刀具套装 不锈钢",
        "竹制砧板 双面菜板",
        "保温杯 304不锈钢 500毫升",
    ],
    "数码": [
        "无线蓝牙耳机 降噪",
        "头戴式游戏耳机 带麦克风",
        "无线鼠标 静音办公",
        "机械键盘 青轴 有线",
        "蓝牙音箱 便携防水",
        "移动电源 20000毫安 快充",
        "手机充电器 Ｔｙｐｅ－Ｃ 快充头",
        "手机保护壳 透明防摔",
        "平板电脑支架 折叠",
        "USB扩展坞 七合一",
    ],
    "服饰": [
        "纯棉短袖T恤 男士",
        "连帽卫衣 加绒 女款",
        "牛仔裤 直筒 修身",
        "羽绒服 轻薄 男",
        "羊毛围巾 冬季保暖",
        "运动跑步鞋 透气",
        "帆布鞋 经典款",
        "棒球帽 遮阳防晒",
        "真皮腰带 自动扣",
        "纯棉袜子 十双装",
    ],
    "食品": [
        "龙井绿茶 明前春茶",
        "云南普洱茶 熟茶饼",
        "茉莉花茶 袋装茶包",
        "手冲咖啡豆 中度烘焙",
        "速溶咖啡 三合一",
        "五常大米 10斤",
        "东北黑木耳 干货",
        "坚果礼盒 每日坚果",
        "草莓果酱 低糖",
        "辣椒酱 下饭菜",
    ],
}

ASKED = {
    "不锈钢水壶": ["厨房-0"],
    "绿茶": ["食品-0"],
    "咖啡": ["食品-3", "食品-4"],
    "蓝牙耳机": ["数码-0"],
    "Type-C 充电器": ["数码-6"],  # the title has letters of full width
    "跑步鞋": ["服饰-5"],
    "炒锅": ["厨房-3"],
    "手机壳": ["数码-7"],
    "羽绒服": ["服饰-3"],
    "茶": [],
}
"""Query -> the items that answer it; "茶" was judged, and nothing found good enough."""


def write(folder: Path) -> tuple[Path, Path]:
    """CSV files: items, judgements. Answers have grade 2, the first of another category grade 0."""
    items = pd.DataFrame(
        [
            {"item_id": f"{category}-{i}", "title": title, "category": category}
            for category, titles in TITLES.items()
            for i, title in enumerate(titles)
        ]
    )
    judged = [(query, item, 2) for query, answers in ASKED.items() for item in answers]
    judged += [(query, "服饰-9" if query != "羽绒服" else "食品-9", 0) for query in ASKED]
    table = pd.DataFrame(judged, columns=["query", "item_id", "grade"])
    items.to_csv(folder / "items.csv", index=False)
    table.to_csv(folder / "judged.csv", index=False)
    return folder / "items.csv", folder / "judged.csv"
